#pragma once
/// Order statistics along an axis: topk, kthvalue, sort. Not differentiable. NaN ranks above every number.
/// Source: torch.topk, torch.kthvalue, torch.sort. Cost: kthvalue linear on average, topk n log k, sort n log n per
/// line.

#include <optional>

#include "coppice/engine/tensor.h"
#include "coppice/engine/tie_rule.h"

namespace coppice {

/// Values and their positions (int64) along the axis.
struct Selected {
  Tensor values;
  Tensor indices;
};

/// The `k` largest (or smallest) along `axis`, best first.
/// Ties: TieRule::lowest_index takes the lower position first; TieRule::pytorch takes what torch.topk takes on a CPU.
/// @throws ValueError  unless 0 <= k <= size of the axis; IndexError
[[nodiscard]] Selected topk(const Tensor& t, std::int64_t k, std::int64_t axis = -1, bool largest = true,
                            TieRule ties = default_tie_rule());

/// The k-th smallest along `axis`, k from 1; the axis disappears. Ties: the lowest position with that rank.
/// @throws ValueError  unless 1 <= k <= size of the axis; IndexError
[[nodiscard]] Selected kthvalue(const Tensor& t, std::int64_t k, std::int64_t axis = -1);

/// All elements in order; equal ones keep their order (stable).
[[nodiscard]] Selected sort(const Tensor& t, std::int64_t axis = -1, bool descending = false);

/// What a mask prunes: the first `count` elements in rank order, over all tensors together.
struct MaskRequest {
  std::int64_t count = 0;
  /// Ranks |score|, otherwise the score itself. |-128| of int8 is 128, and so on; with TieRule::pytorch it is -128, as
  /// PyTorch's abs leaves it.
  bool magnitude = true;
  bool largest = false;  ///< prunes the largest instead of the smallest
  TieRule ties = default_tie_rule();
};

/// Masks with zeros at the selected elements and ones elsewhere, one per tensor of scores, of its shape and in `dtype`
/// (the type of the scores where absent). The tensors count as one sequence in their order, without being joined.
///
/// @param eligible  nothing, or one tensor per tensor of scores and of its shape: entries that are 0 take no part and
///                  stay 0 in the mask; all take part where it is undefined
/// @throws ValueError  unless 0 <= count <= elements that take part; ShapeError
/// Cost: two passes over the scores; extra memory at most 1/20 of them with TieRule::lowest_index. Same result for any
/// number of threads.
[[nodiscard]] TensorList select_masks(const TensorList& scores, const MaskRequest& request,
                                      const TensorList& eligible = {}, std::optional<Dtype> dtype = std::nullopt);

/// The same, written into `masks`: one per tensor of scores, with as many elements, each of any type.
/// @throws as select_masks, with nothing written
void select_masks_(TensorList masks, const TensorList& scores, const MaskRequest& request,
                   const TensorList& eligible = {});

/// Writes +0 to what select_masks would give a 0, in place and without masks: extra memory at most 1/20 of the tensors
/// (with TieRule::pytorch, 16 bytes per element).
/// @param scores  rank the elements; nothing: the tensors themselves
/// @throws as select_masks; StateError  if a tensor requires grad and grad mode is on; nothing has changed then
void zero_selected_(TensorList tensors, const MaskRequest& request, const TensorList& scores = {});

}  // namespace coppice
