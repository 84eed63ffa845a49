#pragma once
/// Products of bytes with lists of blocks, height x 4. Included by level.cpp only.

#include "kernels/int8/outputs.h"

namespace coppice::kernels::COPPICE_LEVEL {

/// Blocks of a vector when a block is lower than one, and vectors of a block when it is higher.
template <int H>
inline constexpr int kBlocksOfVector = H < kInts ? kInts / H : 1;
template <int H>
inline constexpr int kVectorsOfBlock = H > kInts ? H / kInts : 1;

/// The four inputs of each block of a vector, in the lanes of its outputs.
template <int H, class Index>
COPPICE_INLINE Ints inputs_of(const u8* x, const Index* columns) {
  constexpr int n = kBlocksOfVector<H>;
  const auto four = [&](int b) __attribute__((always_inline)) { return x + 4 * static_cast<i64>(columns[b]); };
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

/// Sums of one sample for a group of H outputs, H >= 4.
template <int H, class Index>
COPPICE_INLINE void group_of_one(const Index* columns, const s8* values, i64 blocks, const u8* x, i32* sums) {
  constexpr int per = kBlocksOfVector<H>, parts = kVectorsOfBlock<H>, chains = parts >= 4 ? 1 : 4 / parts;
  Ints acc[chains][parts] = {};
  const auto step = [&](int c, i64 k) __attribute__((always_inline)) {
    const Unsigned a = unsigned_bytes(inputs_of<H>(x, columns + k));
#pragma GCC unroll 4
    for (int p = 0; p < parts; ++p)
      dot(acc[c][p], a, signed_bytes(load_ints(values + k * H * 4 + p * COPPICE_VECTOR_BYTES)));
  };
  i64 k = 0;
#pragma GCC unroll 1
  for (; k + chains * per <= blocks; k += chains * per)
#pragma GCC unroll 4
    for (int c = 0; c < chains; ++c) step(c, k + c * per);
#pragma GCC unroll 1
  for (; k + per <= blocks; k += per) step(0, k);
#pragma GCC unroll 4
  for (int p = 0; p < parts; ++p) {
#pragma GCC unroll 4
    for (int c = 1; c < chains; ++c) acc[0][p] += acc[c][p];
  }
  if constexpr (per == 1) {
#pragma GCC unroll 4
    for (int p = 0; p < parts; ++p) store_ints(sums + p * kInts, acc[0][p]);
  } else {
    i32 lane[kInts];
    store_ints(lane, acc[0][0]);
    for (int r = 0; r < H; ++r) {
      i32 sum = lane[r];
      for (int b = 1; b < per; ++b) sum += lane[r + b * H];
      for (i64 b = k; b < blocks; ++b) {  // less than a vector
        const u8* four = x + 4 * static_cast<i64>(columns[b]);
        for (int i = 0; i < 4; ++i) sum += four[i] * values[(b * H + r) * 4 + i];
      }
      sums[r] = sum;
    }
  }
}

/// Sum of one sample for one output, whose blocks are fours of weights.
template <class Index>
COPPICE_INLINE i32 row_of_one(const Index* columns, const s8* values, i64 blocks, const u8* x) {
  i32 sum = 0;
  i64 k = 0;
#if defined(__AVX2__)
  Ints acc = {};
#pragma GCC unroll 1
  for (; k + kInts <= blocks; k += kInts) {
    Ints index;
    if constexpr (sizeof(Index) == 4) {
      index = load_ints(columns + k);
    } else {
#if defined(__AVX512F__)
      index = (Ints)_mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(columns + k)));
#else
      index = (Ints)_mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(columns + k)));
#endif
    }
#if defined(__AVX512F__)
    const auto four = (Ints)_mm512_i32gather_epi32((__m512i)index, x, 4);
#else
    const auto four = (Ints)_mm256_i32gather_epi32(reinterpret_cast<const int*>(x), (__m256i)index, 4);
#endif
    dot(acc, unsigned_bytes(four), signed_bytes(load_ints(values + k * 4)));
  }
  for (int i = 0; i < kInts; ++i) sum += acc[i];
#endif
#pragma GCC unroll 1
  for (; k < blocks; ++k) {
    const u8* four = x + 4 * static_cast<i64>(columns[k]);
    for (int i = 0; i < 4; ++i) sum += four[i] * values[k * 4 + i];
  }
  return sum;
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
