#pragma once
/// Matrix products, as torch.matmul and torch.nn.functional.linear. Cost: 2 m n k operations per product on all
/// threads, the right side is rearranged in pieces that fit the cache; an optional BLAS may do them. float32 and
/// float64 natively, f16 and bf16 in float.

#include "coppice/engine/tensor.h"

namespace coppice {

/// torch.matmul: [k] x [k] -> scalar, [m, k] x [k, n] -> [m, n], [k] counts as a row on the left and as a column on
/// the right and disappears again; more axes are batches and broadcast.
/// @throws ShapeError  unless the inner sizes agree; DtypeError  unless the types are equal and floating
/// Equal bits for any number of threads.
[[nodiscard]] Tensor matmul(const Tensor& a, const Tensor& b);

/// y = x Wᵀ + bias. x: [..., in], weight: [out, in], bias: [out] or undefined -> y: [..., out].
/// @throws ShapeError, DtypeError
[[nodiscard]] Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = Tensor());

}  // namespace coppice
