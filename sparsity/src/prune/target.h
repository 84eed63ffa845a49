#pragma once
/// The parameter that is about to be pruned, checked.

#include "coppice/sparsity/prune/method.h"

namespace coppice::sparsity::prune {

/// The current value of `name`, masked if it is pruned already, outside any graph.
/// @throws KeyError, TypeError  if it cannot be pruned
[[nodiscard]] Tensor prunable(const nn::Module& module, std::string_view name);

}  // namespace coppice::sparsity::prune
