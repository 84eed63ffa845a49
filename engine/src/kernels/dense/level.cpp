// Dense products and transposition of one instruction-set level.
#include "kernels/dense/skinny.h"
#include "kernels/dense/transpose.h"
#include "kernels/table.h"

namespace coppice::kernels {

extern const DenseKernels COPPICE_TABLE(kDense_);
const DenseKernels COPPICE_TABLE(kDense_) = {COPPICE_LEVEL::any_gemm<float>, COPPICE_LEVEL::any_gemm<double>,
                                             COPPICE_LEVEL::transpose_any};

}  // namespace coppice::kernels
