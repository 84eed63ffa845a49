#pragma once
/// Operations whose weight is a packed matrix. For inference: they run in any grad mode, and what they make may hang in
/// a graph, but a backward() that arrives at it is a StateError. Subnormal numbers count as zero.

#include "coppice/engine/ops/conv.h"
#include "coppice/engine/sparse/packed_matrix.h"
#include "coppice/engine/tensor.h"

namespace coppice {

/// Cost of both: two operations per stored number and sample; docs/packed-formats.md says what each format stores.
///
/// y = x Wᵀ + bias. x: [..., in] float32, weight: [out, in] packed, bias: [out] or undefined -> y: [..., out].
/// @throws ShapeError, DtypeError; StateError  if a member of the weight was written since it was checked
[[nodiscard]] Tensor linear(const Tensor& x, const PackedMatrix& weight, const Tensor& bias = Tensor());

/// conv2d whose weight [out, in * kh * kw] is packed. One group.
/// @param kernel  [kh, kw]
/// @throws ShapeError, ValueError, DtypeError, StateError
[[nodiscard]] Tensor conv2d(const Tensor& x, const PackedMatrix& weight, const Tensor& bias,
                            const std::array<std::int64_t, 2>& kernel, const ConvOptions& options);

}  // namespace coppice
