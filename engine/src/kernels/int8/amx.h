#pragma once
/// Dense products in tiles of AMX: 32 rows by a panel, 64 inputs a step. Included by level.cpp only.

#include "kernels/int8/dense.h"

#if defined(COPPICE_AMX)

namespace coppice::kernels::COPPICE_LEVEL {

/// From so many rows on, tiles are faster than vectors (bench/int8_bench).
inline constexpr i64 kTileFrom = 5;
inline constexpr i64 kTileRows = 16, kTileBytes = 64;

/// Shapes of the tile registers: 0..3 sums of two times 16 rows and two times 16 outputs, 4 and 5 x, 6 and 7 weights.
struct alignas(64) TileShapes {
  u8 palette = 1, start = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {};
  u8 rows[16] = {};

  TileShapes(i64 upper, i64 lower) {
    const i64 height[8] = {upper, upper, lower, lower, upper, lower, kTileRows, kTileRows};
    for (int i = 0; i < 8; ++i) bytes[i] = kTileBytes, rows[i] = static_cast<u8>(height[i]);
  }
};

/// GCC's intrinsic would say that it reads eight bytes of them.
COPPICE_INLINE void configure(const TileShapes& shapes) { __asm__ volatile("ldtilecfg %0" : : "m"(shapes)); }

/// The last, incomplete step of a strip, padded with zeros: tiles read whole steps.
struct LastStep {
  alignas(64) u8 x[2 * kTileRows * kTileBytes];
  alignas(64) s8 w[kTileRows * kPanelStep];

  LastStep(const u8* from, i64 xs, i64 rows, const s8* panel, i64 inputs) {
    __builtin_memset(x, 0, sizeof x);
    __builtin_memset(w, 0, sizeof w);
    for (i64 r = 0; r < rows; ++r) __builtin_memcpy(x + r * kTileBytes, from + r * xs, inputs);
    __builtin_memcpy(w, panel, (inputs + 3) / 4 * kPanelStep);
    __asm__ volatile("" ::: "memory");  // loads of tiles say nothing of what they read
  }
};

template <bool kTwo>
COPPICE_INLINE void tile_step(const u8* x, i64 xs, const s8* w) {
  _tile_loadd(4, x, xs);
  _tile_loadd(6, w, kPanelStep);
  _tile_loadd(7, w + kTileBytes, kPanelStep);
  _tile_dpbusd(0, 4, 6);
  if constexpr (kTwo) _tile_loadd(5, x + kTileRows * xs, xs);
  _tile_dpbusd(1, 4, 7);
  if constexpr (kTwo) {
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
}

/// Sums of a strip that are finished but not written: that happens a few rows at a time between the steps of the next
/// strip, whose tiles are multiplied meanwhile (64 rows: 66 against 50 µs).
struct Finished {
  const i32* sums = nullptr;
  i64 row = 0, rows = 0, col = 0, cols = 0;

  COPPICE_INLINE void write(i64 count, const Int8Out& out) {
    if (rows == 0) return;
    const i64 now = smaller(count, rows);
    write_outputs(sums, kPanel, row, now, col, cols, out);
    sums += now * kPanel, row += now, rows -= now;
  }
};

template <bool kTwo>
COPPICE_NOINLINE void tile_strip(const u8* x, i64 xs, i64 rows, i64 k, const s8* w, i32* sums, Finished& before,
                                 const Int8Out& out) {
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kTwo) {
    _tile_zero(2);
    _tile_zero(3);
  }
  const i64 share = before.rows * kTileBytes / (k + 1) + 1;
  for (; k >= kTileBytes; k -= kTileBytes, x += kTileBytes, w += kTileRows * kPanelStep) {
    tile_step<kTwo>(x, xs, w);
    before.write(share, out);
  }
  if (k > 0) {
    const LastStep last(x, xs, rows, w, k);
    tile_step<kTwo>(last.x, kTileBytes, last.w);
  }
  constexpr i64 stride = kPanel * 4;
  _tile_stored(0, sums, stride);
  _tile_stored(1, sums + 16, stride);
  if constexpr (kTwo) {
    _tile_stored(2, sums + kTileRows * kPanel, stride);
    _tile_stored(3, sums + kTileRows * kPanel + 16, stride);
  }
  before.write(before.rows, out);
}

inline void tiled_dense(const Int8Dense& p, i64 begin, i64 end) {
  if (p.m < kTileFrom) return dense(p, begin, end);
  alignas(64) i32 sums[2][2 * kTileRows * kPanel];
  Finished finished;
  const i64 steps = (p.k + 3) / 4;
  i64 configured = 0;
  int turn = 0;
  for (i64 panel = begin; panel < end; ++panel)
    for (i64 row = 0; row < p.m; row += 2 * kTileRows, turn ^= 1) {
      const i64 rows = smaller(2 * kTileRows, p.m - row), upper = smaller(kTileRows, rows);
      if (configured != rows) {
        const TileShapes shapes(upper, rows > upper ? rows - upper : 1);
        configure(shapes);
        configured = rows;
      }
      const u8* x = p.x + row * p.x_stride;
      const s8* w = p.panels + panel * steps * kPanelStep;
      if (rows > upper)
        tile_strip<true>(x, p.x_stride, rows, p.k, w, sums[turn], finished, p.out);
      else
        tile_strip<false>(x, p.x_stride, rows, p.k, w, sums[turn], finished, p.out);
      finished = {sums[turn], row, rows, panel * kPanel, smaller(kPanel, p.n - panel * kPanel)};
    }
  finished.write(finished.rows, p.out);
  _tile_release();
}

}  // namespace coppice::kernels::COPPICE_LEVEL

#endif
