#pragma once
/// Dense products by a BLAS instead of our own kernels, in builds that name one (-Dblas=openblas).

#include "gemm.h"

namespace coppice::kernels {

/// Computes `p` on the calling thread; false, with nothing written, if `p` is too small to be worth the call or its
/// sizes do not fit the BLAS's integers.
[[nodiscard]] bool blas_product(const Gemm<float>& p);
[[nodiscard]] bool blas_product(const Gemm<double>& p);

}  // namespace coppice::kernels
