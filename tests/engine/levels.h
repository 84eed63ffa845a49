#pragma once
/// For tests that run at every instruction-set level.

#include <vector>

#include "coppice/engine/cpu.h"
#include "coppice/engine/parallel.h"

namespace coppice::test {

struct Settings {  // restores threads and level at the end of a test
  int threads = num_threads();
  CpuLevel level = cpu_level();
  ~Settings() {
    set_num_threads(threads);
    set_cpu_level(level);
  }
};

inline std::vector<CpuLevel> levels() {
  if (best_cpu_level() == CpuLevel::baseline) return {CpuLevel::baseline};
  std::vector<CpuLevel> out;
  for (const CpuLevel l : {CpuLevel::v2, CpuLevel::v3, CpuLevel::v4})
    if (l <= best_cpu_level()) out.push_back(l);
  return out;
}

}  // namespace coppice::test
