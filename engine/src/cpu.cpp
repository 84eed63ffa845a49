#include "coppice/engine/cpu.h"

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

CpuLevel detect() {
#if COPPICE_X86
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                  __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return v4 ? CpuLevel::v4 : v3 ? CpuLevel::v3 : CpuLevel::v2;
#else
  return CpuLevel::baseline;
#endif
}

CpuLevel from_environment() {
  const CpuLevel best = best_cpu_level();
  const char* text = std::getenv("COPPICE_CPU_LEVEL");
  if (text == nullptr || best == CpuLevel::baseline) return best;
  const std::string_view word = text;
  const CpuLevel wanted = word == "v2" ? CpuLevel::v2 : word == "v3" ? CpuLevel::v3 : CpuLevel::v4;
  return wanted < best ? wanted : best;
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
  switch (level) {
    case CpuLevel::v2: return "x86-64-v2";
    case CpuLevel::v3: return "x86-64-v3";
    case CpuLevel::v4: return "x86-64-v4";
    case CpuLevel::baseline: break;
  }
  return "baseline";
}

CpuLevel best_cpu_level() {
  static const CpuLevel level = detect();
  return level;
}

CpuLevel cpu_level() { return current().load(std::memory_order_relaxed); }

void set_cpu_level(CpuLevel level) {
  const CpuLevel best = best_cpu_level();
  if (level > best || (level == CpuLevel::baseline && best != CpuLevel::baseline))
    throw ValueError(cat("[set_cpu_level] this processor has no level ", name_of(level), "; its best is ",
                         name_of(best)));
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
