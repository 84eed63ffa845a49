#include "kernels/levels.h"

#include <iterator>

#include "coppice/engine/cpu.h"
#include "level_list.h"

// The build file makes level_list.h: COPPICE_LEVELS(ROW) is ROW(v2) ROW(v3) … for its rows of compiler flags, in rising
// order. Each is a CpuLevel by name, and the suffix of the tables that its objects define.

namespace coppice::kernels {

#define COPPICE_DECLARE(level)                     \
  extern const DenseKernels kDense_##level;        \
  extern const FunctionKernels kFunctions_##level; \
  extern const SelectKernels kSelect_##level;      \
  extern const SparseKernels kSparse_##level;
COPPICE_LEVELS(COPPICE_DECLARE)

const Kernels& in_use() {
  struct Row {
    CpuLevel level;
    Kernels kernels;
  };
#define COPPICE_ROW(level) {CpuLevel::level, {kDense_##level, kFunctions_##level, kSelect_##level, kSparse_##level}},
  static constexpr Row kRows[] = {COPPICE_LEVELS(COPPICE_ROW)};
  const Row* row = std::end(kRows) - 1;
  for (const CpuLevel allowed = cpu_level(); row != kRows && row->level > allowed;) --row;
  return row->kernels;
}

}  // namespace coppice::kernels
