#include "optim_steps.h"

#include <cmath>

#include "coppice/engine/cpu.h"

namespace coppice::nn {
namespace {

// PyTorch is built for vector units that round a * b + c once. Where the processor has them (every one since 2013) they
// are used; elsewhere the product of two floats is exact in double, and that the sum is rounded twice shows in the last
// bit of one result in 2^29.
struct Soft {
  static float fused(float a, float b, float c) { return static_cast<float>(static_cast<double>(a) * b + c); }
  static double fused(double a, double b, double c) { return std::fma(a, b, c); }
};
struct Hard {
  [[gnu::always_inline]] static float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  [[gnu::always_inline]] static double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
};

/// Steps by value: what is written could be one of their fields otherwise, and no loop would become vectors.
template <class Fma, class T>
[[gnu::always_inline]] inline void rows_of(const SgdStep<T> s, Rows rows) {
  for (std::int64_t k = rows.begin; k < rows.end; ++k) {
    T d = s.decay != 0 ? Fma::fused(s.p[k], s.decay, s.g[k]) : s.g[k];
    if (s.v != nullptr) {
      s.v[k] = s.first ? d : Fma::fused(d, s.fresh, s.momentum * s.v[k]);
      d = s.nesterov ? Fma::fused(s.v[k], s.momentum, d) : s.v[k];
    }
    s.p[k] = Fma::fused(d, s.rate, s.p[k]);
  }
}

template <class Fma, class T>
[[gnu::always_inline]] inline void rows_of(const AdamStep<T> s, Rows rows) {
  const bool near = s.c1 < T(0.5);  // m + c1 (d - m) from the nearer end, as aten/src/ATen/native/Lerp.h
  const T c1 = near ? s.c1 : s.c1 - 1;
  for (std::int64_t k = rows.begin; k < rows.end; ++k) {
    const T x = s.p[k] * s.shrink;
    const T d = s.coupled != 0 ? Fma::fused(x, s.coupled, s.g[k]) : s.g[k];
    const T m = Fma::fused(c1, d - s.m[k], near ? s.m[k] : d);
    T second = Fma::fused(s.c2 * d, d, s.b2 * s.v[k]);
    s.m[k] = m;
    s.v[k] = second;
    if (s.top != nullptr) {
      const T before = s.top[k];
      second = second > before || second != second ? second : before;  // NaN is the largest, as in torch.maximum
      s.top[k] = second;
    }
    s.p[k] = x + s.rate * m / (std::sqrt(second) / s.scale + s.eps);
  }
}

#if defined(__x86_64__)
template <class Step>
[[gnu::target("avx2,fma")]] void hard_rows(const Step& step, Rows rows) {
  rows_of<Hard>(step, rows);
}
bool has_fma() { return cpu_level() >= CpuLevel::v3; }
#else
template <class Step>
void hard_rows(const Step& step, Rows rows) {
  rows_of<Soft>(step, rows);
}
bool has_fma() { return false; }
#endif

template <class Step>
void either(const Step& step, Rows rows) {
  if (has_fma())
    hard_rows(step, rows);
  else
    rows_of<Soft>(step, rows);
}

}  // namespace

template <>
void run(const SgdStep<float>& step, Rows rows) {
  either(step, rows);
}
template <>
void run(const SgdStep<double>& step, Rows rows) {
  either(step, rows);
}
template <>
void run(const AdamStep<float>& step, Rows rows) {
  either(step, rows);
}
template <>
void run(const AdamStep<double>& step, Rows rows) {
  either(step, rows);
}

}  // namespace coppice::nn
