#pragma once
/// Order statistics along an axis: topk, kthvalue, sort. Not differentiable. NaN ranks above every number.

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
                            TieRule ties = TieRule::lowest_index);

/// The k-th smallest along `axis`, k from 1; the axis disappears. Ties: the lowest position with that rank.
/// @throws ValueError  unless 1 <= k <= size of the axis; IndexError
[[nodiscard]] Selected kthvalue(const Tensor& t, std::int64_t k, std::int64_t axis = -1);

/// All elements in order; equal ones keep their order (stable).
[[nodiscard]] Selected sort(const Tensor& t, std::int64_t axis = -1, bool descending = false);

}  // namespace coppice
