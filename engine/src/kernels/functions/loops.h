#pragma once
/// exp, tanh, sigmoid and the LSTM cell as plain loops that the compiler turns into vectors of the level.
/// Included by level.cpp only. Polynomials: Cephes, expf.c and tanhf.c.

#include "kernels/vec.h"

namespace coppice::kernels::COPPICE_LEVEL {

COPPICE_INLINE float exp1(float x) {
  // Outside these bounds the result is 0 or infinity. Comparisons are written so that NaN passes through.
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  constexpr float magic = 12582912.0f;  // 1.5 * 2^23: the sum's last bits are the rounded quotient
  const float shifted = x * 1.44269504088896341f + magic;
  const float n = shifted - magic;
  float f = x - n * 0.693359375f;
  f = f - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * (f * f) + f + 1.0f;
  // 2^n in two factors, since n reaches 128 and -150.
  const std::uint32_t whole = __builtin_bit_cast(std::uint32_t, shifted) - 0x4b400000u;
  const auto half = static_cast<std::uint32_t>(static_cast<std::int32_t>(whole) >> 1);
  const float first = __builtin_bit_cast(float, (half + 127u) << 23);
  const float second = __builtin_bit_cast(float, (whole - half + 127u) << 23);
  return p * first * second;
}

COPPICE_INLINE float sigmoid1(float x) { return 1.0f / (1.0f + exp1(-x)); }

COPPICE_INLINE float tanh1(float x) {
  const float size = __builtin_fabsf(x);
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float small = p * z * x + x;
  const float large = __builtin_copysignf(1.0f - 2.0f / (exp1(2.0f * size) + 1.0f), x);
  return size < 0.625f ? small : large;
}

inline void vexp(const float* x, float* y, i64 n) {
  COPPICE_VECTOR_LOOP
  for (i64 i = 0; i < n; ++i) y[i] = exp1(x[i]);
}

inline void vtanh(const float* x, float* y, i64 n) {
  COPPICE_VECTOR_LOOP
  for (i64 i = 0; i < n; ++i) y[i] = tanh1(x[i]);
}

inline void vsigmoid(const float* x, float* y, i64 n) {
  COPPICE_VECTOR_LOOP
  for (i64 i = 0; i < n; ++i) y[i] = sigmoid1(x[i]);
}

template <bool kSave>
void lstm_rows(const float* gates, const float* c_prev, float* c, float* h, float* acts, i64 hidden) {
  COPPICE_VECTOR_LOOP
  for (i64 j = 0; j < hidden; ++j) {
    const float in = sigmoid1(gates[j]);
    const float forget = sigmoid1(gates[hidden + j]);
    const float cell = tanh1(gates[2 * hidden + j]);
    const float out = sigmoid1(gates[3 * hidden + j]);
    const float state = forget * c_prev[j] + in * cell;
    if constexpr (kSave) {
      acts[j] = in;
      acts[hidden + j] = forget;
      acts[2 * hidden + j] = cell;
      acts[3 * hidden + j] = out;
    }
    c[j] = state;
    h[j] = out * tanh1(state);
  }
}

inline void lstm_cell(const float* gates, const float* c_prev, float* c, float* h, float* acts, i64 hidden) {
  if (acts)
    lstm_rows<true>(gates, c_prev, c, h, acts, hidden);
  else
    lstm_rows<false>(gates, c_prev, c, h, acts, hidden);
}

}  // namespace coppice::kernels::COPPICE_LEVEL
