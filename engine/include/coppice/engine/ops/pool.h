#pragma once
/// Pooling over the last two axes of [n, c, h, w] or [c, h, w].

#include <array>
#include <cstdint>
#include <optional>

#include "coppice/engine/tensor.h"

namespace coppice {

using Pair = std::array<std::int64_t, 2>;

/// Windows of a pooling. Padding is at most half the kernel, as in PyTorch; no setting exceeds 2^31 - 1. Planes must
/// have elements, batches need not.
struct PoolOptions {
  Pair kernel{1, 1};
  std::optional<Pair> stride = std::nullopt;  ///< the kernel when absent
  Pair padding{0, 0};
  Pair dilation{1, 1};            ///< max_pool2d only
  bool ceil_mode = false;         ///< last window may reach over the end (but starts inside input or left padding)
  bool count_include_pad = true;  ///< avg_pool2d only: padding counts in the divisor
  std::optional<std::int64_t> divisor_override = std::nullopt;  ///< avg_pool2d only
};

/// Source of all three: torch.nn.functional.max_pool2d, avg_pool2d, adaptive_avg_pool2d. Cost: one look at each element
/// of each window.
///
/// Largest element of each window; padding never wins, NaN does. The gradient goes to the first winner. A window that
/// dilation leaves without an element gives the lowest value (-inf), and no gradient.
/// @throws ShapeError, ValueError
[[nodiscard]] Tensor max_pool2d(const Tensor& x, const PoolOptions& options);
/// Mean of each window. @throws ShapeError, ValueError, DtypeError
[[nodiscard]] Tensor avg_pool2d(const Tensor& x, const PoolOptions& options);
/// Mean of window i of n: rows floor(i h / n) to ceil((i + 1) h / n). @throws ShapeError, ValueError, DtypeError
[[nodiscard]] Tensor adaptive_avg_pool2d(const Tensor& x, Pair output);

}  // namespace coppice
