#pragma once
// The mask of WeightNormSparsifier without a module. Private to sparsity.

#include "coppice/engine/arguments.h"
#include "coppice/engine/tensor.h"
#include "coppice/engine/tie_rule.h"

namespace coppice::sparsity {

/// The mask, of bool, that a WeightNormSparsifier gives a tensor in its first step; beside it nothing of the size of
/// the tensor is made.
/// @param settings  sparsity_level, sparse_block_shape, zeros_per_block
/// @param order     of the norm, 1 or 2
/// @throws as the sparsifier
[[nodiscard]] Tensor weight_norm_mask(const Tensor& values, const Arguments& settings, int order, TieRule ties);

}  // namespace coppice::sparsity
