// Functions of vectors of one instruction-set level.
#include "kernels/functions/functions.h"
#include "kernels/functions/loops.h"
#include "kernels/table.h"

namespace coppice::kernels {

extern const FunctionKernels COPPICE_TABLE(kFunctions_);
const FunctionKernels COPPICE_TABLE(kFunctions_) = {COPPICE_LEVEL::vexp, COPPICE_LEVEL::vtanh, COPPICE_LEVEL::vsigmoid,
                                                    COPPICE_LEVEL::lstm_cell};

}  // namespace coppice::kernels
