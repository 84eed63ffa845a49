#pragma once
// The integers of a quantised tensor as a plain tensor, and back, without a copy. Private to the engine.

#include "coppice/engine/tensor.h"

namespace coppice::quant {

/// @throws DtypeError  naming `op`, unless `q` has one scale and its integers are whole bytes
[[nodiscard]] inline Tensor integers(const char* op, const Tensor& q) {
  if (q.dtype() == Dtype::quint4x2) detail::refuse_quantized(q.dtype(), op);
  if (q.qparams()->per_channel())
    throw DtypeError(cat("[", op, "] takes tensors with one scale; got one quantised ", q.qparams()->scheme()));
  return Tensor::over(q.storage(), q.storage_offset(), q.shape(), stored_dtype(q.dtype()));
}

/// The quantised tensor over the bytes of `integers`.
[[nodiscard]] inline Tensor quantized_over(const Tensor& integers, Dtype dtype, const QParamsPtr& params) {
  return Tensor::over(integers.storage(), integers.storage_offset(), integers.shape(), dtype, params);
}

}  // namespace coppice::quant
