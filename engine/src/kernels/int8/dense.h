#pragma once
/// Dense products of bytes, in tiles of rows and two vectors of outputs. Included by level.cpp only.

#include "kernels/int8/outputs.h"

namespace coppice::kernels::COPPICE_LEVEL {

/// Rows of a tile: its sums fill the registers but for the operands.
#if defined(__AVX512F__)
inline constexpr int kRowsOfTile = 8;
#elif defined(COPPICE_VNNI)
inline constexpr int kRowsOfTile = 6;
#else
inline constexpr int kRowsOfTile = 4;
#endif
inline constexpr i64 kPanelStep = kPanel * 4;  // bytes of a panel for four inputs

/// Sums of R rows and the outputs of two vectors. Few rows take several steps at a time, so that there are sums enough
/// to hide what a dot product takes.
template <int R>
COPPICE_NOINLINE void dense_tile(i64 steps, const u8* x, i64 xs, const s8* w, i32* sums) {
  constexpr int chains = R == 1 ? 4 : R == 2 ? 2 : 1;
  Ints acc[chains][R][2] = {};
  const auto step = [&](int c, const u8* xq, const s8* wq) __attribute__((always_inline)) {
    const Signed w0 = signed_bytes(load_ints(wq)), w1 = signed_bytes(load_ints(wq + COPPICE_VECTOR_BYTES));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Unsigned a = unsigned_bytes(splat_bytes(xq + r * xs));
      dot(acc[c][r][0], a, w0);
      dot(acc[c][r][1], a, w1);
    }
  };
#pragma GCC unroll 1
  for (; steps >= chains; steps -= chains, x += 4 * chains, w += kPanelStep * chains)
#pragma GCC unroll 4
    for (int c = 0; c < chains; ++c) step(c, x + 4 * c, w + kPanelStep * c);
#pragma GCC unroll 1
  for (; steps > 0; --steps, x += 4, w += kPanelStep) step(0, x, w);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      Ints sum = acc[0][r][v];
#pragma GCC unroll 4
      for (int c = 1; c < chains; ++c) sum += acc[c][r][v];
      store_ints(sums + r * kPanel + v * kInts, sum);
    }
}

/// `rows` <= R rows from `row` on against a panel.
template <int R>
void dense_strip(const Int8Dense& p, i64 panel, i64 row, i64 rows) {
  if constexpr (R > 1)
    if (rows < R) return dense_strip<R - 1>(p, panel, row, rows);
  alignas(64) i32 sums[R * kPanel];
  const i64 steps = (p.k + 3) / 4, cols = smaller(kPanel, p.n - panel * kPanel);
  const s8* w = p.panels + panel * steps * kPanelStep;
  for (i64 v = 0; v < cols; v += 2 * kInts)
    dense_tile<R>(steps, p.x + row * p.x_stride, p.x_stride, w + v * 4, sums + v);
  write_outputs(sums, kPanel, row, R, panel * kPanel, cols, p.out);
}

inline void dense(const Int8Dense& p, i64 begin, i64 end) {
  for (i64 panel = begin; panel < end; ++panel)
    for (i64 row = 0; row < p.m; row += kRowsOfTile)
      dense_strip<kRowsOfTile>(p, panel, row, smaller(kRowsOfTile, p.m - row));
}

}  // namespace coppice::kernels::COPPICE_LEVEL
