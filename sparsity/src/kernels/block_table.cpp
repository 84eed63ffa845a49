#include "kernels/block_table.h"

#include <iterator>

#include "coppice/engine/cpu.h"
#include "level_list.h"

// level_list.h is the engine's: COPPICE_LEVELS(ROW) is ROW(v2) ROW(v3) … in rising order.

namespace coppice::sparsity::kernels {

#define COPPICE_DECLARE(level) extern const BlockKernels kBlocks_##level;
COPPICE_LEVELS(COPPICE_DECLARE)

const BlockKernels& blocks_in_use() {
  struct Row {
    CpuLevel level;
    const BlockKernels& kernels;
  };
#define COPPICE_ROW(level) {CpuLevel::level, kBlocks_##level},
  static constexpr Row kRows[] = {COPPICE_LEVELS(COPPICE_ROW)};
  const Row* row = std::end(kRows) - 1;
  for (const CpuLevel allowed = cpu_level(); row != kRows && row->level > allowed;) --row;
  return row->kernels;
}

}  // namespace coppice::sparsity::kernels
