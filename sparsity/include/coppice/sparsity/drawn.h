#pragma once

#include <string>

#include "coppice/engine/tensor.h"

namespace coppice::sparsity {

/// A mask as text: a line for each row, '#' where it keeps and '.' where it prunes. More than two axes are seen as
/// [first, all others], fewer as one row. @throws StateError  for an undefined tensor
[[nodiscard]] std::string drawn(const Tensor& mask);

}  // namespace coppice::sparsity
