#pragma once
/// For tests of integer kernels: every level and unit of the machine, random bytes, and the rules in plain loops.

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../../../engine/src/integer_unit.h"
#include "../../../engine/src/kernels/int8/int8.h"
#include "coppice/engine/error.h"
#include "coppice/engine/random.h"
#include "engine/levels.h"

namespace coppice::test {

struct IntegerSettings {  // restores threads, level and unit at the end of a test
  Settings settings;
  IntegerUnit unit = integer_unit();
  ~IntegerSettings() { set_integer_unit(unit); }
};

/// Calls body() with each pair of level and unit that this machine runs. `where` names it in messages.
template <class Body>
void at_every_unit(const Body& body) {
  const IntegerSettings restore;
  for (const CpuLevel level : levels())
    for (const IntegerUnit unit : {IntegerUnit::words, IntegerUnit::vnni, IntegerUnit::amx})
      if (has_integer_unit(level, unit)) {
        set_cpu_level(level);
        set_integer_unit(unit);
        body(cat(name_of(level), " ", name_of(unit)));
      }
}

template <class T>
std::vector<T> random_bytes(std::int64_t n, std::int64_t low, std::int64_t high, Generator& g) {
  std::vector<std::int64_t> draw(static_cast<std::size_t>(n));
  g.integers(draw, low, high + 1);
  return {draw.begin(), draw.end()};
}

inline std::vector<float> random_floats(std::int64_t n, float low, float high, Generator& g) {
  std::vector<float> out(static_cast<std::size_t>(n));
  g.uniform(std::span(out), low, high);
  return out;
}

/// sum_k (x - zx) (w - zw[j]), in 64 bits, as 32.
inline std::vector<std::int32_t> exact_sums(std::int64_t m, std::int64_t n, std::int64_t k, const std::uint8_t* x,
                                            std::int64_t x_stride, std::int32_t zx, const std::vector<std::int8_t>& w,
                                            const std::vector<std::int32_t>& zw) {
  std::vector<std::int32_t> out;
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      std::int64_t sum = 0;
      const std::int64_t z = zw.empty() ? 0 : zw[zw.size() == 1 ? 0 : static_cast<std::size_t>(j)];
      for (std::int64_t q = 0; q < k; ++q)
        sum += (x[i * x_stride + q] - zx) * (w[static_cast<std::size_t>(j * k + q)] - z);
      out.push_back(static_cast<std::int32_t>(sum));
    }
  return out;
}

inline float rounded(float x) { return static_cast<float>(std::nearbyint(static_cast<double>(x))); }

inline std::uint8_t byte_of(double q, std::int32_t low, std::int32_t high) {
  return static_cast<std::uint8_t>(static_cast<std::int32_t>(std::fmin(std::fmax(q, low), high)));
}

}  // namespace coppice::test
