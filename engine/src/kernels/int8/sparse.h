#pragma once
/// Products of bytes with lists of blocks, height x 4. Included by level.cpp only.

#include "kernels/int8/outputs.h"

namespace coppice::kernels::COPPICE_LEVEL {

/// Blocks of a vector when a block is lower than one, and vectors of a block when it is higher.
template <int H>
inline constexpr int kBlocksOfVector = H < kInts ? kInts / H : 1;
template <int H>
inline constexpr int kVectorsOfBlock = H > kInts ? H / kInts : 1;

/// The four inputs of each of `count` blocks, one at least, in the lanes of their outputs; then those of the first.
template <int H, class Index>
COPPICE_INLINE Ints inputs_of(const u8* x, const Index* columns, i64 count) {
  constexpr int n = kBlocksOfVector<H>;
  const auto four = [&](i64 b) __attribute__((always_inline)) {
    return x + 4 * static_cast<i64>(columns[b < count ? b : 0]);
  };
  Ints v = splat_bytes(four(0));
#if defined(__AVX512F__)
#pragma GCC unroll 4
  for (int b = 1; b < n; ++b)
    v = (Ints)_mm512_mask_broadcastd_epi32((__m512i)v, static_cast<__mmask16>(((1 << H) - 1) << (b * H)),
                                           _mm_loadu_si32(four(b)));
#else
#pragma GCC unroll 2
  for (int b = 1; b < n; ++b) {
    const Ints w = splat_bytes(four(b));
#pragma GCC unroll 8
    for (int i = b * H; i < b * H + H; ++i) v[i] = w[i];
  }
#endif
  return v;
}

/// The first `count` lanes, fewer than a vector; then 0.
COPPICE_INLINE Ints load_some(const s8* p, i64 count) {
#if defined(__AVX512F__)
  return (Ints)_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << count) - 1), p);
#else
  i32 lanes[kInts] = {};
  for (i64 i = 0; i < count; ++i) __builtin_memcpy(lanes + i, p + 4 * i, 4);
  return load_ints(lanes);
#endif
}

COPPICE_INLINE i32 sum_of_lanes(Ints v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_epi32((__m512i)v);
#else
  i32 sum = 0;
#pragma GCC unroll 8
  for (int i = 0; i < kInts; ++i) sum += v[i];
  return sum;
#endif
}

/// sums[r] = lanes r, r + H, r + 2 H ...
template <int H>
COPPICE_INLINE void store_folded(i32* sums, Ints v) {
#if defined(__AVX512F__)
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256((__m512i)v), _mm512_extracti64x4_epi64((__m512i)v, 1));
  if constexpr (H == 8)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), half);
  else
    _mm_storeu_si128(reinterpret_cast<__m128i*>(sums),
                     _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
#else
#pragma GCC unroll 8
  for (int r = 0; r < H; ++r) sums[r] = v[r];
#pragma GCC unroll 8
  for (int r = H; r < kInts; ++r) sums[r % H] += v[r];
#endif
}

/// Sums of one sample for a group of H outputs, H >= 4. Groups are short: the processor has several of them in flight,
/// and more sums at a time would only make their ends longer.
template <int H, class Index>
COPPICE_INLINE void group_of_one(const Index* columns, const s8* values, i64 blocks, const u8* x, i32* sums) {
  constexpr int per = kBlocksOfVector<H>, parts = kVectorsOfBlock<H>;
  Ints acc[parts] = {};
  i64 k = 0;
#pragma GCC unroll 1
  for (; k + per <= blocks; k += per) {
    const Unsigned a = unsigned_bytes(inputs_of<H>(x, columns + k, per));
#pragma GCC unroll 4
    for (int p = 0; p < parts; ++p)
      dot(acc[p], a, signed_bytes(load_ints(values + k * H * 4 + p * COPPICE_VECTOR_BYTES)));
  }
  if (per > 1 && k < blocks)
    dot(acc[0], unsigned_bytes(inputs_of<H>(x, columns + k, blocks - k)),
        signed_bytes(load_some(values + k * H * 4, (blocks - k) * H)));
  if constexpr (per > 1) {
    store_folded<H>(sums, acc[0]);
  } else {
#pragma GCC unroll 4
    for (int p = 0; p < parts; ++p) store_ints(sums + p * kInts, acc[p]);
  }
}

/// The fours of `count` blocks, kInts or fewer; then any.
template <class Index>
COPPICE_INLINE Ints gather_fours(const u8* x, const Index* columns, i64 count) {
#if defined(__AVX512F__)
  const auto lanes = static_cast<__mmask16>((1u << count) - 1);
  const __m512i index = sizeof(Index) == 4 ? _mm512_maskz_loadu_epi32(lanes, columns)
                                           : _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(lanes, columns));
  return (Ints)_mm512_i32gather_epi32(index, x, 4);  // lanes that are not there read the first four
#else
  Ints v;
#pragma GCC unroll 8
  for (int i = 0; i < kInts; ++i) {
    i32 four;
    __builtin_memcpy(&four, x + 4 * static_cast<i64>(columns[i < count ? i : 0]), 4);
    v[i] = four;
  }
  return v;
#endif
}

/// Sum of one sample for one output, whose blocks are fours of weights.
template <class Index>
COPPICE_INLINE i32 row_of_one(const Index* columns, const s8* values, i64 blocks, const u8* x) {
  Ints acc = {};
  i64 k = 0;
#pragma GCC unroll 1
  for (; k + kInts <= blocks; k += kInts)
    dot(acc, unsigned_bytes(gather_fours(x, columns + k, kInts)), signed_bytes(load_ints(values + k * 4)));
  if (k < blocks)
    dot(acc, unsigned_bytes(gather_fours(x, columns + k, blocks - k)),
        signed_bytes(load_some(values + k * 4, blocks - k)));
  return sum_of_lanes(acc);
}

template <int H, class Index>
COPPICE_NOINLINE void rows_of_height(const Int8Blocks& w, const Index* columns, i64 m, const u8* x, i64 xs,
                                     const Int8Out& out, i64 begin, i64 end) {
  alignas(64) i32 sums[kPanel];
  for (i64 row = begin; row < end; row += kPanel) {
    const i64 rows = smaller(kPanel, end - row);
    for (i64 s = 0; s < m; ++s) {
      for (i64 r = 0; r < rows; r += H) {
        const i64 g = (row + r) / H, at = w.offsets[g], blocks = w.offsets[g + 1] - at;
        const s8* values = w.values + at * H * 4;
        if constexpr (H == 1)
          sums[r] = row_of_one(columns + at, values, blocks, x + s * xs);
        else
          group_of_one<H>(columns + at, values, blocks, x + s * xs, sums + r);
      }
      write_outputs(sums, kPanel, s, 1, row, rows, out);
    }
  }
}

template <class Index>
void rows_any(const Int8Blocks& w, const Index* columns, i64 m, const u8* x, i64 xs, const Int8Out& out, i64 begin,
              i64 end) {
  switch (w.height) {
    case 4: return rows_of_height<4>(w, columns, m, x, xs, out, begin, end);
    case 8: return rows_of_height<8>(w, columns, m, x, xs, out, begin, end);
    case 16: return rows_of_height<16>(w, columns, m, x, xs, out, begin, end);
    default: return rows_of_height<1>(w, columns, m, x, xs, out, begin, end);
  }
}

inline void rows(const Int8Blocks& w, i64 m, const u8* x, i64 xs, const Int8Out& out, i64 begin, i64 end) {
  if (w.columns16)
    rows_any(w, w.columns16, m, x, xs, out, begin, end);
  else
    rows_any(w, w.columns32, m, x, xs, out, begin, end);
}

}  // namespace coppice::kernels::COPPICE_LEVEL
