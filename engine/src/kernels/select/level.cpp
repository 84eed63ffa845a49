// Steps of a selection of one instruction-set level.
#include "kernels/select/loops.h"
#include "kernels/select/steps.h"
#include "kernels/table.h"

namespace coppice::kernels {

extern const SelectKernels COPPICE_TABLE(kSelect_) = {
    COPPICE_LEVEL::keys_f32,   COPPICE_LEVEL::count_equal, COPPICE_LEVEL::bracket,     COPPICE_LEVEL::mask_words,
    COPPICE_LEVEL::keep_bytes, COPPICE_LEVEL::split,       COPPICE_LEVEL::bracket_f32, COPPICE_LEVEL::mask_f32};

}  // namespace coppice::kernels
