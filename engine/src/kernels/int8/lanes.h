#pragma once
/// Vectors of 32-bit integers of a level, and dot products of four bytes. Included by level.cpp only; compiled with
/// -ffp-contract=off, so that a fused multiply-add is one only where it is asked for, and -fwrapv.

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels/vec.h"

#if defined(__AVX512F__)
#define COPPICE_X86(op) _mm512_##op
#elif defined(__AVX2__)
#define COPPICE_X86(op) _mm256_##op
#elif defined(__SSE4_1__)
#define COPPICE_X86(op) _mm_##op
#endif

namespace coppice::kernels::COPPICE_LEVEL {

using Floats = Vec<float>;
using Ints = VecOf<float>::mask;
using u8 = std::uint8_t;
using s8 = std::int8_t;
using i32 = std::int32_t;
inline constexpr int kInts = kLanes<float>;

#if defined(__AVX512F__)
using XmInts = __m512i;
using XmFloats = __m512;
#elif defined(__AVX2__)
using XmInts = __m256i;
using XmFloats = __m256;
#elif defined(__SSE4_1__)
using XmInts = __m128i;
using XmFloats = __m128;
#endif

typedef i32 LooseInts __attribute__((vector_size(COPPICE_VECTOR_BYTES), aligned(1), may_alias));

COPPICE_INLINE Ints load_ints(const void* p) { return *static_cast<const LooseInts*>(p); }
COPPICE_INLINE void store_ints(void* p, Ints v) { *static_cast<LooseInts*>(p) = v; }
COPPICE_INLINE Ints splat_int(i32 x) { return x - Ints{}; }

/// Four bytes in every lane.
COPPICE_INLINE Ints splat_bytes(const void* p) {
  i32 x;
  __builtin_memcpy(&x, p, 4);
  return splat_int(x);
}

#if defined(COPPICE_VNNI)

using Unsigned = Ints;
using Signed = Ints;
COPPICE_INLINE Unsigned unsigned_bytes(Ints v) { return v; }
COPPICE_INLINE Signed signed_bytes(Ints v) { return v; }
// GCC 12 copies accumulators around the intrinsic: half the speed.
COPPICE_INLINE void dot(Ints& acc, Unsigned x, Signed w) {
#if defined(__AVX512F__)
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
#else
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(x), "x"(w));
#endif
}

#elif defined(COPPICE_X86)

/// The bytes at even and odd places as 16-bit words: pairs of products fit into 32 bits without saturation.
struct Words {
  XmInts even, odd;
};
using Unsigned = Words;
using Signed = Words;
COPPICE_INLINE Unsigned unsigned_bytes(Ints v) {
  const Ints low = v & 0x00ff00ff;
  const auto odd = COPPICE_X86(srli_epi16)((XmInts)v, 8);
  return {(XmInts)low, odd};
}
COPPICE_INLINE Signed signed_bytes(Ints v) {
  const auto x = (XmInts)v;
  return {COPPICE_X86(srai_epi16)(COPPICE_X86(slli_epi16)(x, 8), 8), COPPICE_X86(srai_epi16)(x, 8)};
}
COPPICE_INLINE void dot(Ints& acc, const Unsigned& x, const Signed& w) {
  acc += (Ints)COPPICE_X86(madd_epi16)(x.even, w.even) + (Ints)COPPICE_X86(madd_epi16)(x.odd, w.odd);
}

#else

using Unsigned = Ints;
using Signed = Ints;
COPPICE_INLINE Unsigned unsigned_bytes(Ints v) { return v; }
COPPICE_INLINE Signed signed_bytes(Ints v) { return v; }
COPPICE_INLINE void dot(Ints& acc, Unsigned x, Signed w) {
  acc += (x & 255) * (w << 24 >> 24) + (x >> 8 & 255) * (w << 16 >> 24) + (x >> 16 & 255) * (w << 8 >> 24) +
         (x >> 24 & 255) * (w >> 24);
}

#endif

COPPICE_INLINE Floats floats(Ints v) { return __builtin_convertvector(v, Floats); }

/// a > b ? a : b, so that a NaN in a gives b; likewise smaller.
COPPICE_INLINE Floats larger_of(Floats a, Floats b) {
#if defined(COPPICE_X86)
  return (Floats)COPPICE_X86(max_ps)((XmFloats)a, (XmFloats)b);
#else
  return a > b ? a : b;
#endif
}
COPPICE_INLINE Floats smaller_of(Floats a, Floats b) {
#if defined(COPPICE_X86)
  return (Floats)COPPICE_X86(min_ps)((XmFloats)a, (XmFloats)b);
#else
  return a < b ? a : b;
#endif
}

/// rne(x) for |x| < 2^22: adding 1.5 * 2^23 leaves no room for a fraction.
COPPICE_INLINE Ints nearest(Floats x) {
#if defined(COPPICE_X86)
  return (Ints)COPPICE_X86(cvtps_epi32)((XmFloats)x);
#else
  return (Ints)(x + 12582912.0f) - 0x4B400000;
#endif
}

/// fl(a * b + c) with one rounding, where no instruction does it: a * b is exact in double, and the sum is rounded to
/// odd, after which rounding to float cannot round a second time.
inline float fused_lane(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fmaf(a, b, c);
#else
  const double p = static_cast<double>(a) * b, z = c;
  double s = p + z;
  const double t = s - p, rest = (p - (s - t)) + (z - t);
  std::int64_t bits;
  __builtin_memcpy(&bits, &s, sizeof s);
  if ((rest > 0 || rest < 0) && bits % 2 == 0) bits += (rest > 0) == (s > 0) ? 1 : -1;
  __builtin_memcpy(&s, &bits, sizeof s);
  return static_cast<float>(s);
#endif
}

COPPICE_INLINE Floats fused(Floats a, Floats b, Floats c) {
#if defined(__FMA__)
  return (Floats)COPPICE_X86(fmadd_ps)((XmFloats)a, (XmFloats)b, (XmFloats)c);
#else
  Floats y;
  for (int i = 0; i < kInts; ++i) y[i] = fused_lane(a[i], b[i], c[i]);
  return y;
#endif
}

/// The low byte of every lane.
COPPICE_INLINE void store_bytes(void* p, Ints v) {
#if defined(__AVX512F__)
  _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtepi32_epi8((__m512i)v));
#else
  typedef u8 Bytes __attribute__((vector_size(COPPICE_VECTOR_BYTES / 4)));
  const Bytes bytes = __builtin_convertvector(v, Bytes);
  __builtin_memcpy(p, &bytes, sizeof bytes);
#endif
}

}  // namespace coppice::kernels::COPPICE_LEVEL
