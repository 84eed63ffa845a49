#pragma once
/// Masks from scores: the decisions that every pruning method is made of. 1 keeps, 0 prunes.

#include <cstdint>

#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/select.h"
#include "coppice/engine/tensor.h"
#include "coppice/sparsity/amount.h"

namespace coppice {
class Generator;
}

namespace coppice::sparsity {

/// Mask with zeros at the `count` smallest |score| and ones elsewhere, in the type of the scores.
/// @param count  elements, 0 .. scores.numel(); NaN ranks above every number
/// @throws ValueError
/// Source: torch/nn/utils/prune.py, L1Unstructured.compute_mask
[[nodiscard]] Tensor mask_smallest(const Tensor& scores, std::int64_t count, TieRule ties = default_tie_rule());

/// Zeros at `count` elements drawn at random: one uniform number per element, the `count` largest go.
/// Source: RandomUnstructured.compute_mask
[[nodiscard]] Tensor mask_random(const Tensor& like, std::int64_t count, Generator& generator,
                                 TieRule ties = default_tie_rule());

/// Norm of each slice of `t` along `dim`: [size of dim]. @throws IndexError, ValueError, DtypeError
/// Source: torch/nn/utils/prune.py, _compute_norm
[[nodiscard]] Tensor channel_norms(const Tensor& t, NormOrder order, std::int64_t dim);

/// Zeros in the `count` slices along `dim` with the smallest scores ([size of dim]); the shape and type of `like`.
/// Ties: lowest_index prunes the lower slice first; pytorch keeps what torch.topk keeps.
/// @throws ValueError, IndexError; ShapeError  if `like` has fewer than 2 axes
/// Source: LnStructured.compute_mask
[[nodiscard]] Tensor mask_channels(const Tensor& like, const Tensor& scores, std::int64_t count, std::int64_t dim,
                                   TieRule ties = default_tie_rule());

/// Zeros in `count` slices along `dim` drawn at random: one uniform float32 per slice, the `count` smallest go.
/// TieRule::pytorch prunes every slice whose draw is not above the threshold, as PyTorch: more than `count` where
/// draws are equal. Empty slices take no draw, where PyTorch draws. Source: RandomStructured.compute_mask
[[nodiscard]] Tensor mask_random_channels(const Tensor& like, std::int64_t count, std::int64_t dim,
                                          Generator& generator, TieRule ties = default_tie_rule());

/// Share of entries that are zero (NaN is not); 0 for an empty tensor.
[[nodiscard]] double sparsity_of(const Tensor& t);

}  // namespace coppice::sparsity
