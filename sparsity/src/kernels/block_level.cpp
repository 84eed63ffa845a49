// Arithmetic on rows of blocks of one instruction-set level.
#include "kernels/block_loops.h"
#include "kernels/block_table.h"
#include "kernels/table.h"

namespace coppice::sparsity::kernels {

extern const BlockKernels COPPICE_TABLE(kBlocks_);
const BlockKernels COPPICE_TABLE(kBlocks_) = {{COPPICE_LEVEL::add_row<float>, COPPICE_LEVEL::flag_lowest<float>},
                                              {COPPICE_LEVEL::add_row<double>, COPPICE_LEVEL::flag_lowest<double>},
                                              COPPICE_LEVEL::importance,
                                              COPPICE_LEVEL::add_importance,
                                              COPPICE_LEVEL::spread_row};

}  // namespace coppice::sparsity::kernels
