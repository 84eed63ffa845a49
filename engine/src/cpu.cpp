#include "coppice/engine/cpu.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "coppice/engine/error.h"
#include "float_unit.h"

#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#define COPPICE_X86 1
#else
#define COPPICE_X86 0
#endif

namespace coppice {
namespace {

/// A level: its name, the word for it in COPPICE_CPU_LEVEL, and whether this processor runs it. A level of a build is
/// one of these; the build file has its compiler flags.
struct Row {
  CpuLevel level;
  std::string_view name, word;
  bool (*runs)();
};

#if COPPICE_X86
bool has_v3() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}
bool has_v4() {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#else
bool has_v3() { return false; }
bool has_v4() { return false; }
#endif

/// In rising order: each level includes those before it.
constexpr Row kRows[] = {
    {CpuLevel::baseline, "baseline", "", [] { return true; }},
    {CpuLevel::v2, "x86-64-v2", "v2", [] { return COPPICE_X86 != 0; }},
    {CpuLevel::v3, "x86-64-v3", "v3", has_v3},
    {CpuLevel::v4, "x86-64-v4", "v4", has_v4},
};

CpuLevel detect() {
#if COPPICE_X86
  __builtin_cpu_init();
#endif
  CpuLevel best = CpuLevel::baseline;
  for (const Row& row : kRows)
    if (row.runs()) best = row.level;
  return best;
}

CpuLevel from_environment() {
  const CpuLevel best = best_cpu_level();
  const char* text = std::getenv("COPPICE_CPU_LEVEL");
  if (text == nullptr || best == CpuLevel::baseline) return best;
  for (const Row& row : kRows)
    if (row.word == text && !row.word.empty()) return std::min(row.level, best);
  return best;
}

std::atomic<CpuLevel>& current() {
  static std::atomic<CpuLevel> level{from_environment()};
  return level;
}

// Bits that flush results (x86 FTZ, ARM FZ) and operands (x86 DAZ) to zero.
#if COPPICE_X86
constexpr std::uint64_t kFlushBits = 0x8040;
std::uint64_t read_control() { return _mm_getcsr(); }
void write_control(std::uint64_t bits) { _mm_setcsr(static_cast<unsigned>(bits)); }
#elif defined(__aarch64__)
constexpr std::uint64_t kFlushBits = std::uint64_t{1} << 24;
std::uint64_t read_control() {
  std::uint64_t bits;
  __asm__ volatile("mrs %0, fpcr" : "=r"(bits));
  return bits;
}
void write_control(std::uint64_t bits) { __asm__ volatile("msr fpcr, %0" : : "r"(bits)); }
#else
constexpr std::uint64_t kFlushBits = 0;
std::uint64_t read_control() { return 0; }
void write_control(std::uint64_t) {}
#endif

}  // namespace

std::string_view name_of(CpuLevel level) {
  for (const Row& row : kRows)
    if (row.level == level) return row.name;
  return kRows[0].name;
}

CpuLevel best_cpu_level() {
  static const CpuLevel level = detect();
  return level;
}

CpuLevel cpu_level() { return current().load(std::memory_order_relaxed); }

void set_cpu_level(CpuLevel level) {
  const CpuLevel best = best_cpu_level();
  if (level > best || (level == CpuLevel::baseline && best != CpuLevel::baseline))
    throw ValueError(
        cat("[set_cpu_level] this processor has no level ", name_of(level), "; its best is ", name_of(best)));
  current().store(level, std::memory_order_relaxed);
}

std::uint64_t detail::flush_state() { return read_control() & kFlushBits; }

detail::WithFlushState::WithFlushState(std::uint64_t state)
    : saved_(read_control()), changed_((saved_ & kFlushBits) != state) {
  if (changed_) write_control((saved_ & ~kFlushBits) | state);
}

detail::WithFlushState::~WithFlushState() {
  if (changed_) write_control(saved_);  // exception flags raised inside are dropped
}

FlushSubnormals::FlushSubnormals() : saved_(read_control()) {
  if ((saved_ & kFlushBits) != kFlushBits) write_control(saved_ | kFlushBits);
}

FlushSubnormals::~FlushSubnormals() {
  // Exception flags raised inside the scope are dropped together with the flush bits.
  if ((saved_ & kFlushBits) != kFlushBits) write_control(saved_);
}

}  // namespace coppice
