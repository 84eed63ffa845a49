#pragma once
/// Products of lists of blocks with samples that stand side by side. Included by level.cpp only.

#include "kernels/int8/sparse.h"

namespace coppice::kernels::COPPICE_LEVEL {

/// Outputs and vectors of samples of a tile.
#if defined(__AVX512F__)
template <int H>
inline constexpr int kOutputsOfTile = H == 16 ? 8 : H;
template <int H>
inline constexpr int kVectorsOfTile = H <= 4 ? 4 : 2;
#else
template <int H>
inline constexpr int kOutputsOfTile = H > 4 ? 4 : H;
template <int H>
inline constexpr int kVectorsOfTile = 2;
#endif

/// Sums of S outputs of a group from `sub` on, for V vectors of samples; rows of sums are `stride` apart.
template <int H, int S, int V, class Index>
COPPICE_NOINLINE void samples_tile(const Index* columns, const s8* values, i64 blocks, i64 sub, const u8* x, i64 xs,
                                   i32* sums, i64 stride) {
  constexpr int chains = H == 1 ? 2 : 1;  // one output has few sums: its blocks take turns
  Ints acc[chains][S][V] = {};
  const auto step = [&](int c, i64 k) __attribute__((always_inline)) {
    const u8* xk = x + static_cast<i64>(columns[k]) * xs;
    const s8* wk = values + (k * H + sub) * 4;
    Unsigned a[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) a[v] = unsigned_bytes(load_ints(xk + v * COPPICE_VECTOR_BYTES));
#pragma GCC unroll 8
    for (int r = 0; r < S; ++r) {
      const Signed b = signed_bytes(splat_bytes(wk + r * 4));
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) dot(acc[c][r][v], a[v], b);
    }
  };
  i64 k = 0;
#pragma GCC unroll 1
  for (; k + chains <= blocks; k += chains)
#pragma GCC unroll 2
    for (int c = 0; c < chains; ++c) step(c, k + c);
  if (k < blocks) step(0, k);
#pragma GCC unroll 8
  for (int r = 0; r < S; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      Ints sum = acc[0][r][v];
      if constexpr (chains == 2) sum += acc[1][r][v];
      store_ints(sums + r * stride + v * kInts, sum);
    }
}

template <int H, class Index>
COPPICE_NOINLINE void samples_of_height(const Int8Blocks& w, const Index* columns, i64 m, const u8* x, i64 samples,
                                        const Int8Out& out, i64 begin, i64 end) {
  constexpr int S = kOutputsOfTile<H>, V = kVectorsOfTile<H>;
  constexpr i64 width = kTurned, tile = V * kInts;  // samples of a pass over the weights, of a tile
  alignas(64) i32 sums[kPanel * width];
  for (i64 first = 0; first < m; first += width) {
    const i64 count = smaller(width, m - first), wide = (count + kInts - 1) / kInts * kInts;
    for (i64 row = begin; row < end; row += kPanel) {
      const i64 rows = smaller(kPanel, end - row);
      for (i64 s = 0; s < wide;) {
        const bool whole = s + tile <= wide;
        for (i64 r = 0; r < rows; r += H) {
          const i64 g = (row + r) / H, at = w.offsets[g], blocks = w.offsets[g + 1] - at;
          for (i64 sub = 0; sub < H; sub += S) {
            const s8* values = w.values + at * H * 4;
            const u8* from = x + (first + s) * 4;
            i32* to = sums + (r + sub) * width + s;
            if (whole)
              samples_tile<H, S, V>(columns + at, values, blocks, sub, from, samples * 4, to, width);
            else
              samples_tile<H, S, 1>(columns + at, values, blocks, sub, from, samples * 4, to, width);
          }
        }
        s += whole ? tile : kInts;
      }
      write_turned(sums, first, count, row, rows, out);
    }
  }
}

template <class Index>
void samples_any(const Int8Blocks& w, const Index* columns, i64 m, const u8* x, i64 samples, const Int8Out& out,
                 i64 begin, i64 end) {
  switch (w.height) {
    case 4: return samples_of_height<4>(w, columns, m, x, samples, out, begin, end);
    case 8: return samples_of_height<8>(w, columns, m, x, samples, out, begin, end);
    case 16: return samples_of_height<16>(w, columns, m, x, samples, out, begin, end);
    default: return samples_of_height<1>(w, columns, m, x, samples, out, begin, end);
  }
}

inline void samples(const Int8Blocks& w, i64 m, const u8* x, i64 samples, const Int8Out& out, i64 begin, i64 end) {
  if (w.columns16)
    samples_any(w, w.columns16, m, x, samples, out, begin, end);
  else
    samples_any(w, w.columns32, m, x, samples, out, begin, end);
}

}  // namespace coppice::kernels::COPPICE_LEVEL
