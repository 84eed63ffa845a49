#pragma once

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/sparsity/sparsifier/group.h"

namespace coppice::sparsity {

/// Calls f; errors that come out of it say which tensor it was about.
template <class F>
decltype(auto) placed(const Group& group, F f) {
  try {
    return f();
  } catch (Error& e) {
    if (!e.has_place()) e.set_place(cat("at ", quote(group.tensor_fqn()), ": "));
    throw;
  }
}

/// @throws ShapeError, ValueError  unless `mask` may stand on the group's tensor
void check_mask(const char* op, const Group& group, const Tensor& mask);

}  // namespace coppice::sparsity
