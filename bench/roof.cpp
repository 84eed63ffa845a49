// The limits that results are compared with, measured in the same run: they travel between machines with the table.
#include <cstdint>
#include <vector>

#include "coppice/engine/cpu.h"
#include "harness.h"

namespace coppice::bench {
namespace {

constexpr int kChains = 12;  // more than latency times throughput of any present core
volatile float sink;

template <int kLanes>
struct Loops {
  typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), may_alias));

  /// `rounds` times kChains multiply-adds. Every chain has another value, so that none can be shared.
  __attribute__((always_inline)) static inline void arithmetic(long rounds) {
    Vector acc[kChains], factor = Vector{} + 0.999999f, term = Vector{} + 1e-6f;
    __asm__("" : "+m"(factor), "+m"(term));  // unknown to the optimiser
    for (int c = 0; c < kChains; ++c) acc[c] = Vector{} + static_cast<float>(c);
    for (long r = 0; r < rounds; ++r)
#pragma GCC unroll 12
      for (int c = 0; c < kChains; ++c) acc[c] = acc[c] * factor + term;
    Vector sum = acc[0];
    for (int c = 1; c < kChains; ++c) sum += acc[c];
    float first;
    __builtin_memcpy(&first, &sum, sizeof first);
    sink = first;
  }
  __attribute__((always_inline)) static inline void reading(const float* data, std::size_t count) {
    Vector acc[8] = {};
    for (std::size_t i = 0; i + 8 * kLanes <= count; i += 8 * kLanes)
#pragma GCC unroll 8
      for (std::size_t j = 0; j < 8; ++j) acc[j] += *reinterpret_cast<const Vector*>(data + i + j * kLanes);
    Vector sum = acc[0];
    for (int j = 1; j < 8; ++j) sum += acc[j];
    float first;
    __builtin_memcpy(&first, &sum, sizeof first);
    sink = first;
  }
};

#if defined(__x86_64__)
__attribute__((target("avx512f"))) void arithmetic_v4(long rounds) { Loops<16>::arithmetic(rounds); }
__attribute__((target("avx2,fma"))) void arithmetic_v3(long rounds) { Loops<8>::arithmetic(rounds); }
__attribute__((target("avx512f"))) void reading_v4(const float* p, std::size_t n) { Loops<16>::reading(p, n); }
__attribute__((target("avx2,fma"))) void reading_v3(const float* p, std::size_t n) { Loops<8>::reading(p, n); }
#endif

}  // namespace

double fma_roof() {
  constexpr long rounds = 20'000;
  double lanes = 4;
  std::function<void()> run = [] { Loops<4>::arithmetic(rounds); };
#if defined(__x86_64__)
  if (cpu_level() == CpuLevel::v4) lanes = 16, run = [] { arithmetic_v4(rounds); };
  if (cpu_level() == CpuLevel::v3) lanes = 8, run = [] { arithmetic_v3(rounds); };
#endif
  return 2 * kChains * lanes * static_cast<double>(rounds) / measure({run})[0].best * 1e-3;
}

double read_bandwidth(std::size_t bytes) {
  std::vector<float> memory(bytes / sizeof(float) + 16, 1.0f);
  const auto aligned = reinterpret_cast<const float*>((reinterpret_cast<std::uintptr_t>(memory.data()) + 63) / 64 * 64);
  const std::size_t count = bytes / sizeof(float);
  std::function<void()> run = [=] { Loops<4>::reading(aligned, count); };
#if defined(__x86_64__)
  if (cpu_level() == CpuLevel::v4) run = [=] { reading_v4(aligned, count); };
  if (cpu_level() == CpuLevel::v3) run = [=] { reading_v3(aligned, count); };
#endif
  return static_cast<double>(bytes) / measure({run})[0].best * 1e-3;
}

}  // namespace coppice::bench
