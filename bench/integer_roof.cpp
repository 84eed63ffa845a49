// The limits of integer products: dot products of four bytes in vectors, and tiles.
#include <cstdint>

#include "../engine/src/integer_unit.h"
#include "harness.h"

namespace coppice::bench {
namespace {

#if defined(__x86_64__)
constexpr long kRounds = 5'000;

__attribute__((target("avx512f,avx512vnni"))) void vectors_v4() {
  for (long r = 0; r < kRounds; ++r) {
#define COPPICE_DOT(i) "vpdpbusd %%zmm30, %%zmm31, %%zmm" #i "\n\t"
    __asm__ volatile(COPPICE_DOT(0) COPPICE_DOT(1) COPPICE_DOT(2) COPPICE_DOT(3) COPPICE_DOT(4) COPPICE_DOT(5)
                         COPPICE_DOT(6) COPPICE_DOT(7) COPPICE_DOT(8) COPPICE_DOT(9) COPPICE_DOT(10) COPPICE_DOT(11)
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11");
  }
}

__attribute__((target("amx-tile,amx-int8"))) void tiles_v4() {
  struct alignas(64) {
    std::uint8_t palette = 1, rest[15] = {};
    std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } shapes;
  __asm__ volatile("ldtilecfg %0" : : "m"(shapes));
  for (long r = 0; r < kRounds; ++r)
    __asm__ volatile(
        "tdpbusd %%tmm6, %%tmm4, %%tmm0\n\ttdpbusd %%tmm7, %%tmm4, %%tmm1\n\t"
        "tdpbusd %%tmm6, %%tmm5, %%tmm2\n\ttdpbusd %%tmm7, %%tmm5, %%tmm3" ::
            :);
  __asm__ volatile("tilerelease");
}
#endif

}  // namespace

double dot_roof() {
#if defined(__x86_64__)
  if (has_integer_unit(CpuLevel::v4, IntegerUnit::vnni))
    return 12 * 128 * static_cast<double>(kRounds) / measure({vectors_v4})[0].best * 1e-3;
#endif
  return 0;
}

double tile_roof() {
#if defined(__x86_64__)
  if (has_integer_unit(CpuLevel::v4, IntegerUnit::amx))
    return 4 * 2 * 16 * 16 * 64 * static_cast<double>(kRounds) / measure({tiles_v4})[0].best * 1e-3;
#endif
  return 0;
}

}  // namespace coppice::bench
