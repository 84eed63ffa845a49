#pragma once
/// The loops of a selection over 32-bit keys (select/keys.h), as the level's vectors. Included by level.cpp only.

#include "kernels/vec.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace coppice::kernels::COPPICE_LEVEL {

using u32 = std::uint32_t;

inline void keys_f32(const float* x, u32* keys, i64 n, bool magnitude) {
  constexpr std::int32_t nan = 0x7f800001;
  if (magnitude) {
    COPPICE_VECTOR_LOOP
    for (i64 i = 0; i < n; ++i) {
      const auto size = static_cast<std::int32_t>(__builtin_bit_cast(u32, x[i]) & 0x7fffffffu);
      keys[i] = static_cast<u32>(size < nan ? size : nan);
    }
    return;
  }
  COPPICE_VECTOR_LOOP
  for (i64 i = 0; i < n; ++i) {
    const u32 bits = __builtin_bit_cast(u32, x[i]);
    const auto raw = static_cast<std::int32_t>(bits & 0x7fffffffu);
    const u32 size = static_cast<u32>(raw < nan ? raw : nan);
    const bool down = (static_cast<std::int32_t>(bits) < 0) & (raw < nan);
    keys[i] = 0x80000000u + (down ? 0u - size : size);
  }
}

inline i64 count_equal(const u32* keys, i64 n, u32 key) {
  u32 sum = 0;
  for (i64 i = 0; i < n; ++i) sum += keys[i] == key;
  return sum;
}

typedef u32 KeyVec __attribute__((vector_size(COPPICE_VECTOR_BYTES)));
typedef u32 LooseKeyVec __attribute__((vector_size(COPPICE_VECTOR_BYTES), aligned(4), may_alias));

/// Whether any of 16 keys, of which `bits` counts, lies in low .. low + width.
COPPICE_INLINE bool any_inside(const u32* keys, u32 low, u32 width, u32 bits = ~0u) {
  constexpr int w = COPPICE_VECTOR_BYTES / 4;
  VecOf<float>::mask hits{};
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += w) {
    const KeyVec v = *reinterpret_cast<const LooseKeyVec*>(keys + i);
    hits |= (v & bits) - low <= width;
  }
  std::int64_t part[COPPICE_VECTOR_BYTES / 8];
  __builtin_memcpy(part, &hits, sizeof part);
#pragma GCC unroll 8
  for (int i = 1; i < COPPICE_VECTOR_BYTES / 8; ++i) part[0] |= part[i];
  return part[0] != 0;
}

inline i64 bracket(const u32* keys, i64 n, u32 low, u32 width, u32* out, i64* below) {
  u32 less = 0;
  constexpr i64 few = 16;
  i64 inside = 0, i = 0;
#if defined(__AVX512F__)
  const __m512i from = _mm512_set1_epi32(static_cast<int>(low)), span = _mm512_set1_epi32(static_cast<int>(width));
  for (; i + few <= n; i += few) {
    const __m512i v = _mm512_loadu_si512(keys + i);
    less += static_cast<u32>(__builtin_popcount(_mm512_cmplt_epu32_mask(v, from)));
    const __mmask16 hits = _mm512_cmple_epu32_mask(_mm512_sub_epi32(v, from), span);
    _mm512_storeu_si512(out + inside, _mm512_maskz_compress_epi32(hits, v));
    inside += __builtin_popcount(hits);
  }
#else
  for (; i + few <= n; i += few) {  // most groups have no member: look at all of them at once
    for (i64 j = i; j < i + few; ++j) less += keys[j] < low;
    if (!any_inside(keys + i, low, width)) continue;
#pragma GCC unroll 16
    for (i64 j = i; j < i + few; ++j) {
      out[inside] = keys[j];
      inside += keys[j] - low <= width;
    }
  }
#endif
  for (; i < n; ++i) {
    less += keys[i] < low;
    out[inside] = keys[i];
    inside += keys[i] - low <= width;
  }
  *below += less;
  return inside;
}

constexpr u32 kSize = 0x7fffffffu;  // all but the sign of a float
constexpr u32 kNanKey = 0x7f800001u;

inline i64 bracket_f32(const float* x, i64 n, u32 low, u32 width, u32* out, i64* below) {
  const auto bits = [x](i64 i) { return __builtin_bit_cast(u32, x[i]) & kSize; };
  u32 less = 0;
  const u32 wide = low + width >= kNanKey ? kSize - low : width;  // NaN is beyond kNanKey until it is written
  constexpr i64 few = 16;
  i64 inside = 0, i = 0;
#if defined(__AVX512F__)
  const __m512i sign_off = _mm512_set1_epi32(static_cast<int>(kSize)),
                nan = _mm512_set1_epi32(static_cast<int>(kNanKey));
  const __m512i from = _mm512_set1_epi32(static_cast<int>(low)), span = _mm512_set1_epi32(static_cast<int>(wide));
  for (; i + few <= n; i += few) {
    const __m512i size = _mm512_and_si512(_mm512_loadu_si512(x + i), sign_off);
    less += static_cast<u32>(__builtin_popcount(_mm512_cmplt_epu32_mask(size, from)));
    const __mmask16 hits = _mm512_cmple_epu32_mask(_mm512_sub_epi32(size, from), span);
    _mm512_storeu_si512(out + inside, _mm512_maskz_compress_epi32(hits, _mm512_maskz_min_epu32(hits, size, nan)));
    inside += __builtin_popcount(hits);
  }
#else
  for (; i + few <= n; i += few) {
    for (i64 j = i; j < i + few; ++j) less += bits(j) < low;
    if (!any_inside(reinterpret_cast<const u32*>(x + i), low, wide, kSize)) continue;
#pragma GCC unroll 16
    for (i64 j = i; j < i + few; ++j) {
      const u32 size = bits(j);
      out[inside] = size < kNanKey ? size : kNanKey;
      inside += size - low <= wide;
    }
  }
#endif
  for (; i < n; ++i) {
    const u32 size = bits(i);
    less += size < low;
    out[inside] = size < kNanKey ? size : kNanKey;
    inside += size - low <= wide;
  }
  *below += less;
  return inside;
}

inline i64 mask_f32(const float* x, i64 n, u32 first_kept, u32 key, u32 one, u32* out) {
  const u32 limit = first_kept <= kNanKey ? first_kept : kSize + 1;  // beyond NaN: nothing is kept
  u32 equal = 0;
  COPPICE_VECTOR_LOOP
  for (i64 i = 0; i < n; ++i) {
    const u32 size = __builtin_bit_cast(u32, x[i]) & kSize;
    out[i] = size >= limit ? one : 0u;
    equal += size == key;
  }
  return equal;
}

inline void mask_words(const u32* keys, i64 n, u32 first_kept, u32 none, u32 one, u32* out) {
  COPPICE_VECTOR_LOOP
  for (i64 i = 0; i < n; ++i) out[i] = ((keys[i] >= first_kept) & (keys[i] != none)) ? one : 0u;
}

inline void keep_bytes(const u32* keys, i64 n, u32 first_kept, std::uint8_t* out) {
  COPPICE_VECTOR_LOOP
  for (i64 i = 0; i < n; ++i) out[i] = keys[i] >= first_kept;
}

inline i64 split(const u32* keys, i64 n, u32 low, u32 width, u32 place, u32* out, u32* at, std::uint8_t* keep,
                 i64* below) {
  i64 inside = 0, i = 0;
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
  constexpr i64 few = 16;
  u32 kept = 0;
  const __m512i from = _mm512_set1_epi32(static_cast<int>(low)), span = _mm512_set1_epi32(static_cast<int>(width));
  __m512i places = _mm512_add_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                                    _mm512_set1_epi32(static_cast<int>(place)));
  for (; i + few <= n; i += few) {
    const __m512i v = _mm512_loadu_si512(keys + i);
    const __mmask16 stays = _mm512_cmpge_epu32_mask(v, from);
    const __mmask16 hits = _mm512_cmple_epu32_mask(_mm512_sub_epi32(v, from), span);
    kept += static_cast<u32>(__builtin_popcount(stays));
    _mm512_storeu_si512(out + inside, _mm512_maskz_compress_epi32(hits, v));
    _mm512_storeu_si512(at + inside, _mm512_maskz_compress_epi32(hits, places));
    inside += __builtin_popcount(hits);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(keep + i), _mm_maskz_set1_epi8(stays, 1));
    places = _mm512_add_epi32(places, _mm512_set1_epi32(few));
  }
  *below += i - kept;
#else
  constexpr i64 few = 16;
  for (i64 j = 0; j + few <= n; j += few) {
    if (!any_inside(keys + j, low, width)) continue;
#pragma GCC unroll 16
    for (i64 k = j; k < j + few; ++k) {
      at[inside] = place + static_cast<u32>(k);
      inside += keys[k] - low <= width;
    }
  }
  i = n / few * few;
  keep_bytes(keys, i, low, keep);
  inside = bracket(keys, i, low, width, out, below);
#endif
  for (; i < n; ++i) {
    *below += keys[i] < low;
    keep[i] = keys[i] >= low;
    if (keys[i] - low > width) continue;
    out[inside] = keys[i];
    at[inside++] = place + static_cast<u32>(i);
  }
  return inside;
}

}  // namespace coppice::kernels::COPPICE_LEVEL
