#pragma once
/// What the processor offers, and how its float unit treats subnormal numbers.

#include "coppice/engine/cxx20.h"

#include <cstdint>
#include <string_view>

namespace coppice {

/// Instruction-set levels that dense kernels are compiled for; a higher level includes the lower ones.
/// On processors other than x86-64 everything runs at `baseline`.
enum class CpuLevel : std::uint8_t { baseline, v2, v3, v4 };

/// "baseline", "x86-64-v2", "x86-64-v3", "x86-64-v4".
[[nodiscard]] std::string_view name_of(CpuLevel level);

/// The highest level that this processor has, at least v2 on x86-64. A build with fewer levels runs its best of those.
[[nodiscard]] CpuLevel best_cpu_level();

/// The level in use: best_cpu_level(), or a lower one named by the environment variable COPPICE_CPU_LEVEL
/// (v2, v3 or v4; other words and levels that the processor lacks are ignored).
[[nodiscard]] CpuLevel cpu_level();

/// Selects a lower level, for tests and benchmarks. Not while another thread computes.
/// @throws ValueError  if `level` is above best_cpu_level(), or is `baseline` on x86-64
void set_cpu_level(CpuLevel level);

/// While alive, this thread's float unit replaces subnormal results and operands by zero: arithmetic on them can
/// cost a hundred times more than on other numbers. The previous state comes back at the end of the scope. A
/// parallel_for in the scope flushes on all its threads; products of packed matrices (ops/packed.h) have a scope of
/// their own; everything else keeps subnormals, as PyTorch does by default.
class FlushSubnormals {
 public:
  FlushSubnormals();
  ~FlushSubnormals();
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  std::uint64_t saved_;
};

}  // namespace coppice
