#include "integer_unit.h"

#include <atomic>
#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace coppice {
namespace {

constexpr std::string_view kNames[] = {"words", "vnni", "amx"};

struct Features {
  bool avx_vnni = false, avx512_vnni = false, amx_int8 = false;
};

#if defined(__x86_64__)
/// Tiles are a state of 8 KB for each thread, which Linux gives to processes that ask for it.
bool may_use_tiles() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr int kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
  return false;
#endif
}

Features detect() {
  // Clang 14 has no name for AVX-VNNI in __builtin_cpu_supports. That the system keeps wide registers, the level tells.
  unsigned a = 0, b = 0, c = 0, d = 0;
  Features f;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return f;
  f.avx512_vnni = (c >> 11 & 1u) != 0;
  f.amx_int8 = f.avx512_vnni && (d >> 24 & 1u) != 0 && (d >> 25 & 1u) != 0 && may_use_tiles();
  if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) f.avx_vnni = (a >> 4 & 1u) != 0;
  return f;
}
#else
Features detect() { return {}; }
#endif

const Features& features() {
  static const Features f = detect();
  return f;
}

IntegerUnit from_environment() {
  IntegerUnit best = IntegerUnit::words;
  for (const IntegerUnit unit : {IntegerUnit::vnni, IntegerUnit::amx})
    if (has_integer_unit(best_cpu_level(), unit)) best = unit;
  const char* text = std::getenv("COPPICE_INTEGER_UNIT");
  for (const IntegerUnit unit : {IntegerUnit::words, IntegerUnit::vnni, IntegerUnit::amx})
    if (text != nullptr && name_of(unit) == text && unit < best) return unit;
  return best;
}

std::atomic<IntegerUnit>& current() {
  static std::atomic<IntegerUnit> unit{from_environment()};
  return unit;
}

}  // namespace

std::string_view name_of(IntegerUnit unit) { return kNames[static_cast<std::size_t>(unit)]; }

bool has_integer_unit(CpuLevel level, IntegerUnit unit) {
  if (level > best_cpu_level()) return false;
  switch (unit) {
    case IntegerUnit::words: return true;
    case IntegerUnit::vnni:
      return (level == CpuLevel::v3 && features().avx_vnni) || (level == CpuLevel::v4 && features().avx512_vnni);
    case IntegerUnit::amx: return level == CpuLevel::v4 && features().amx_int8;
  }
  return false;
}

IntegerUnit integer_unit() { return current().load(std::memory_order_relaxed); }

void set_integer_unit(IntegerUnit unit) { current().store(unit, std::memory_order_relaxed); }

}  // namespace coppice
