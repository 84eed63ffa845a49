/// Dense kernels of one instruction-set level. Compiled once per level, with -march of that level and
/// -DCOPPICE_LEVEL=v2, v3, v4 or baseline; gemm.cpp chooses among the tables at run time.

#include "kernels.h"
#include "level_select.h"
#include "level_skinny.h"

#define COPPICE_JOIN2(a, b) a##b
#define COPPICE_JOIN(a, b) COPPICE_JOIN2(a, b)

namespace coppice::kernels {

const DenseKernels COPPICE_JOIN(kDense_, COPPICE_LEVEL) = {
    COPPICE_LEVEL::any_gemm<float>, COPPICE_LEVEL::any_gemm<double>, COPPICE_LEVEL::vexp,
    COPPICE_LEVEL::vtanh,           COPPICE_LEVEL::vsigmoid,         COPPICE_LEVEL::lstm_cell,
    COPPICE_LEVEL::keys_f32,        COPPICE_LEVEL::count_equal,      COPPICE_LEVEL::bracket,
    COPPICE_LEVEL::mask_words,      COPPICE_LEVEL::bracket_f32,      COPPICE_LEVEL::mask_f32,
};

}  // namespace coppice::kernels
