#pragma once
/// Element-wise arithmetic, functions and comparisons, broadcasting as NumPy.
///
/// Each is PyTorch's function of the same name, takes one pass over its inputs on all threads and memory for its
/// result. Types follow torch.promote_types; a 0-d tensor or a plain number does not widen a tensor of the same kind.
/// f16 and bf16 compute in float. All floating results are differentiable unless said otherwise.
/// @throws ShapeError  where two shapes do not broadcast

#include <cstdint>
#include <limits>

#include "coppice/engine/tensor.h"

namespace coppice {

[[nodiscard]] Tensor add(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor sub(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor mul(const Tensor& a, const Tensor& b);
/// True division: integers divide as float32.
[[nodiscard]] Tensor div(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor maximum(const Tensor& a, const Tensor& b);  ///< NaN wins; a tie shares the gradient
[[nodiscard]] Tensor minimum(const Tensor& a, const Tensor& b);  ///< NaN wins; a tie shares the gradient
[[nodiscard]] Tensor pow(const Tensor& base, double exponent);
[[nodiscard]] Tensor pow(const Tensor& base, const Tensor& exponent);

[[nodiscard]] Tensor add(const Tensor& a, double b);
[[nodiscard]] Tensor sub(const Tensor& a, double b);
[[nodiscard]] Tensor mul(const Tensor& a, double b);
[[nodiscard]] Tensor div(const Tensor& a, double b);  ///< a times 1 / b, so the last bit may differ from div of tensors

[[nodiscard]] inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
[[nodiscard]] inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
[[nodiscard]] inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
[[nodiscard]] inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
[[nodiscard]] inline Tensor operator+(const Tensor& a, double b) { return add(a, b); }
[[nodiscard]] inline Tensor operator-(const Tensor& a, double b) { return sub(a, b); }
[[nodiscard]] inline Tensor operator*(const Tensor& a, double b) { return mul(a, b); }
[[nodiscard]] inline Tensor operator/(const Tensor& a, double b) { return div(a, b); }
[[nodiscard]] inline Tensor operator*(double a, const Tensor& b) { return mul(b, a); }

[[nodiscard]] Tensor neg(const Tensor& x);
[[nodiscard]] inline Tensor operator-(const Tensor& x) { return neg(x); }
[[nodiscard]] Tensor abs(const Tensor& x);  ///< gradient 0 at 0
[[nodiscard]] Tensor exp(const Tensor& x);
[[nodiscard]] Tensor log(const Tensor& x);
[[nodiscard]] Tensor sqrt(const Tensor& x);
[[nodiscard]] Tensor tanh(const Tensor& x);
[[nodiscard]] Tensor sigmoid(const Tensor& x);
[[nodiscard]] Tensor relu(const Tensor& x);  ///< gradient 0 at 0; NaN stays NaN
/// x * Φ(x), with the error function or, if `tanh_form`, its tanh approximation.
[[nodiscard]] Tensor gelu(const Tensor& x, bool tanh_form = false);
/// Limited to [low, high]; gradient 1 on both ends, NaN stays NaN. @throws ValueError  if a limit is NaN
[[nodiscard]] Tensor clamp(const Tensor& x, double low, double high);
/// condition ? a : b, element by element. `condition` is true where not zero.
[[nodiscard]] Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
/// Zeroes each element with probability `p` and scales the others by 1 / (1 - p), as torch.dropout in training: one
/// draw of PyTorch's stream per element. @throws ValueError  unless 0 <= p <= 1
class Generator;
[[nodiscard]] Tensor dropout(const Tensor& x, double p, Generator* generator = nullptr);

/// Comparisons give bool tensors. Any comparison with NaN but `ne` is false.
[[nodiscard]] Tensor eq(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor ne(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor lt(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor le(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor gt(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor ge(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor logical_and(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor logical_or(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor logical_not(const Tensor& a);
[[nodiscard]] Tensor isnan(const Tensor& a);

}  // namespace coppice
