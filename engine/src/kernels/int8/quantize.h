#pragma once
/// Between floats and bytes, and the range of floats. Included by level.cpp only.

#include "kernels/int8/int8.h"
#include "kernels/int8/lanes.h"

namespace coppice::kernels::COPPICE_LEVEL {

struct Quantizer {
  Floats inverse, zero, low, high;

  explicit COPPICE_INLINE Quantizer(const Int8Scale& s)
      : inverse(splat(s.inverse)),
        zero(splat(static_cast<float>(s.zero))),
        low(splat(s.is_signed ? -128.0f : 0.0f)),
        high(splat(s.is_signed ? 127.0f : 255.0f)) {}

  template <bool kFused>
  COPPICE_INLINE Ints operator()(Floats x) const {
    Floats v = kFused ? fused(x, inverse, zero) : x * inverse + zero;
    const Ints number = v == v;
    v = (Floats)(((Ints)v & number) | ((Ints)zero & ~number));
    return nearest(smaller_of(larger_of(v, low), high));
  }
};

#if defined(__AVX512F__)
/// 64 bytes at a time: packing saturates to the limits by itself, if only numbers above them are kept from the
/// conversion. Returns how many were written; a NaN ends the run.
template <bool kFused>
COPPICE_INLINE i64 quantize_lines(const float* x, i64 n, const Int8Scale& scale, u8* q) {
  const Quantizer at(scale);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  i64 i = 0;
  for (; i + 64 <= n; i += 64) {
    Floats v[4];
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const Floats xc = load(x + i + c * kInts);
      v[c] = kFused ? fused(xc, at.inverse, at.zero) : xc * at.inverse + at.zero;
    }
    const Floats any = (v[0] + v[1]) + (v[2] + v[3]);  // NaN if one is, or infinities meet
    if (_mm512_cmp_ps_mask((__m512)any, (__m512)any, _CMP_UNORD_Q) != 0) break;
    __m512i w[4];
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) w[c] = (__m512i)nearest(smaller_of(v[c], at.high));
    const __m512i low = _mm512_packs_epi32(w[0], w[1]), high = _mm512_packs_epi32(w[2], w[3]);
    const __m512i bytes = scale.is_signed ? _mm512_packs_epi16(low, high) : _mm512_packus_epi16(low, high);
    _mm512_storeu_si512(q + i, _mm512_permutexvar_epi32(order, bytes));
  }
  return i;
}
#endif

/// Calls step(vector, elements of it that exist, index) for all of x; lanes that do not exist hold x[n - 1].
template <class Step>
COPPICE_INLINE void each_vector(const float* x, i64 n, const Step& step) {
  i64 i = 0;
  for (; i + kInts <= n; i += kInts) step(load(x + i), kInts, i);
  if (i == n) return;
  float rest[kInts];
  for (i64 j = 0; j < kInts; ++j) rest[j] = x[i + j < n ? i + j : n - 1];
  step(load(rest), n - i, i);
}

template <bool kFused>
COPPICE_NOINLINE void quantize_run(const float* x, i64 n, const Int8Scale& scale, u8* q) {
  const Quantizer quantizer(scale);
#if defined(__AVX512F__)
  const i64 done = quantize_lines<kFused>(x, n, scale, q);
  x += done, q += done, n -= done;
#endif
  each_vector(
      x, n, [&](Floats v, i64 count, i64 i) __attribute__((always_inline)) {
        const Ints bytes = quantizer.operator()<kFused>(v);
        if (count == kInts) return store_bytes(q + i, bytes);
        u8 rest[kInts];
        store_bytes(rest, bytes);
        for (i64 j = 0; j < count; ++j) q[i + j] = rest[j];
      });
}

inline void quantize(const float* x, i64 n, const Int8Scale& scale, u8* q) {
  scale.fused ? quantize_run<true>(x, n, scale, q) : quantize_run<false>(x, n, scale, q);
}

template <bool kSigned>
COPPICE_INLINE Ints widened(const u8* q) {
#if defined(__AVX512F__)
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
  return (Ints)(kSigned ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes));
#else
  Ints v;
  for (int i = 0; i < kInts; ++i) v[i] = kSigned ? static_cast<s8>(q[i]) : q[i];
  return v;
#endif
}

template <bool kSigned>
COPPICE_NOINLINE void dequantize_run(const u8* q, i64 n, float scale, i32 zero, float* x) {
  i64 i = 0;
  for (; i + kInts <= n; i += kInts) store(x + i, floats(widened<kSigned>(q + i) - zero) * splat(scale));
  for (; i < n; ++i) x[i] = scale * static_cast<float>((kSigned ? static_cast<s8>(q[i]) : q[i]) - zero);
}

inline void dequantize(const u8* q, i64 n, float scale, i32 zero, bool is_signed, float* x) {
  is_signed ? dequantize_run<true>(q, n, scale, zero, x) : dequantize_run<false>(q, n, scale, zero, x);
}

inline void dequantize_wide(const u8* q, i64 n, double scale, i32 zero, bool is_signed, float* x) {
  COPPICE_VECTOR_LOOP
  for (i64 i = 0; i < n; ++i) {
    const i32 v = is_signed ? static_cast<s8>(q[i]) : q[i];
    x[i] = static_cast<float>(scale * static_cast<double>(v - zero));
  }
}

inline FloatRange range(const float* x, i64 n) {
  constexpr int chains = 4;
  Floats low[chains], high[chains];
  for (int c = 0; c < chains; ++c) low[c] = splat(__builtin_inff()), high[c] = -low[c];
  const auto step = [&](int c, Floats v) __attribute__((always_inline)) {
    low[c] = smaller_of(v, low[c]);  // a NaN keeps what was found
    high[c] = larger_of(v, high[c]);
  };
  i64 i = 0;
  for (; i + chains * kInts <= n; i += chains * kInts)
#pragma GCC unroll 4
    for (int c = 0; c < chains; ++c) step(c, load(x + i + c * kInts));
  each_vector(
      x + i, n - i, [&](Floats v, i64, i64) __attribute__((always_inline)) { step(0, v); });
  for (int c = 1; c < chains; ++c) low[0] = smaller_of(low[c], low[0]), high[0] = larger_of(high[c], high[0]);
  FloatRange out{low[0][0], high[0][0]};
  for (int j = 1; j < kInts; ++j) {
    out.min = low[0][j] < out.min ? low[0][j] : out.min;
    out.max = high[0][j] > out.max ? high[0][j] : out.max;
  }
  return out;
}

inline void row_sums(const u8* x, i64 m, i64 k, i64 x_stride, i32* out) {
  for (i64 r = 0; r < m; ++r) {
    i32 sum = 0;
    COPPICE_VECTOR_LOOP
    for (i64 q = 0; q < k; ++q) sum += x[r * x_stride + q];
    out[r] = sum;
  }
}

}  // namespace coppice::kernels::COPPICE_LEVEL
