#pragma once
/// The loops of a selection over 32-bit keys (select_keys.h), as the level's vectors. Included by dense_level.cpp only.

#include "level_math.h"

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

/// Whether any of 16 keys lies in low .. low + width.
COPPICE_INLINE bool any_inside(const u32* keys, u32 low, u32 width) {
  constexpr int w = COPPICE_VECTOR_BYTES / 4;
  VecOf<float>::mask hits{};
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += w) {
    const KeyVec v = *reinterpret_cast<const LooseKeyVec*>(keys + i);
    hits |= v - low <= width;
  }
  std::int64_t part[COPPICE_VECTOR_BYTES / 8];
  __builtin_memcpy(part, &hits, sizeof part);
#pragma GCC unroll 8
  for (int i = 1; i < COPPICE_VECTOR_BYTES / 8; ++i) part[0] |= part[i];
  return part[0] != 0;
}

inline i64 bracket(const u32* keys, i64 n, u32 low, u32 width, u32* out, i64* below) {
  u32 less = 0;
  for (i64 i = 0; i < n; ++i) less += keys[i] < low;
  *below += less;
  constexpr i64 few = 16;
  i64 inside = 0, i = 0;
  for (; i + few <= n; i += few) {  // most groups have no member: look at all of them at once
    if (!any_inside(keys + i, low, width)) continue;
#pragma GCC unroll 16
    for (i64 j = i; j < i + few; ++j) {
      out[inside] = keys[j];
      inside += keys[j] - low <= width;
    }
  }
  for (; i < n; ++i) {
    out[inside] = keys[i];
    inside += keys[i] - low <= width;
  }
  return inside;
}

inline void mask_words(const u32* keys, i64 n, u32 first_kept, u32 none, u32 one, u32* out) {
  COPPICE_VECTOR_LOOP
  for (i64 i = 0; i < n; ++i) out[i] = ((keys[i] >= first_kept) & (keys[i] != none)) ? one : 0u;
}

}  // namespace coppice::kernels::COPPICE_LEVEL
