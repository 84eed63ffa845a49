#pragma once
/// Block-sparse products in tiles of AMX, samples side by side. Included by level.cpp only.

#include "kernels/int8/amx.h"

#if defined(COPPICE_AMX)

namespace coppice::kernels::COPPICE_LEVEL {

/// Samples of a pass: their inputs stay in the first-level cache, from which tiles are gathered.
template <int S>
COPPICE_INLINE void gather_tile(const std::int32_t* columns, const u8* x, i64 xs, u8* to) {
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    const u8* from = x + columns[i] * xs;
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) store_ints(to + s * 1024 + i * 64, load_ints(from + s * 64));
  }
}

template <int S>
COPPICE_INLINE void multiply_tile(const s8* values, const u8* x) {
  _tile_loadd(4, values, kTileBytes);
  _tile_loadd(5, x, kTileBytes);
  _tile_dpbsud(0, 4, 5);
  if constexpr (S > 1) {
    _tile_loadd(6, x + 1024, kTileBytes);
    _tile_dpbsud(1, 4, 6);
  }
  if constexpr (S > 2) {
    _tile_loadd(7, x + 2048, kTileBytes);
    _tile_dpbsud(2, 4, 7);
  }
  if constexpr (S > 3) {
    _tile_loadd(5, x + 3072, kTileBytes);
    _tile_dpbsud(3, 4, 5);
  }
}

template <int S>
COPPICE_INLINE void store_tiles(i32* sums) {
  constexpr i64 stride = kTurned * 4;
  _tile_stored(0, sums, stride);
  if constexpr (S > 1) _tile_stored(1, sums + 16, stride);
  if constexpr (S > 2) _tile_stored(2, sums + 32, stride);
  if constexpr (S > 3) _tile_stored(3, sums + 48, stride);
  _tile_zero(0);
  if constexpr (S > 1) _tile_zero(1);
  if constexpr (S > 2) _tile_zero(2);
  if constexpr (S > 3) _tile_zero(3);
}

/// S times 16 samples, of which m exist. While a tile is multiplied the next one is gathered: a tile cannot be loaded
/// before its bytes have left the store buffer.
template <int S>
COPPICE_NOINLINE void tile_samples(const Int8Tiles& w, i64 m, const u8* x, i64 samples, i64 first, const Int8Out& out,
                                   i64 begin, i64 end) {
  alignas(64) u8 gathered[2][S * 1024];
  alignas(64) i32 sums[2][16 * kTurned];
  const i64 xs = samples * 4, last = w.offsets[(end + 15) / 16];
  i64 t = w.offsets[begin / 16];
  if (t < last) gather_tile<S>(w.columns + t * 16, x, xs, gathered[t & 1]);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (i64 row = begin; row < end; row += 16) {
    for (const i64 stop = w.offsets[row / 16 + 1]; t < stop; ++t) {
      if (t + 1 < last) gather_tile<S>(w.columns + (t + 1) * 16, x, xs, gathered[(t + 1) & 1]);
      __asm__ volatile("" ::: "memory");
      multiply_tile<S>(w.values + t * 1024, gathered[t & 1]);
    }
    store_tiles<S>(sums[row / 16 & 1]);
    if (row > begin) write_turned(sums[(row / 16 & 1) ^ 1], first, m, row - 16, 16, out);
  }
  const i64 row = (end - 1) / 16 * 16;
  write_turned(sums[row / 16 & 1], first, m, row, end - row, out);
}

inline void tiles(const Int8Tiles& w, i64 m, const u8* x, i64 samples, const Int8Out& out, i64 begin, i64 end) {
  const TileShapes shapes(16, 16);
  configure(shapes);
  for (i64 s = 0; s < m;) {
    const i64 left = m - s;
    const u8* from = x + s * 4;
    if (left > 32) {
      tile_samples<4>(w, smaller(left, 64), from, samples, s, out, begin, end);
      s += 64;
    } else if (left > 16) {
      tile_samples<2>(w, smaller(left, 32), from, samples, s, out, begin, end);
      s += 32;
    } else {
      tile_samples<1>(w, left, from, samples, s, out, begin, end);
      s += 16;
    }
  }
  _tile_release();
}

}  // namespace coppice::kernels::COPPICE_LEVEL

#endif
