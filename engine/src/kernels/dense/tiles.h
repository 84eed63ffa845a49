#pragma once
/// The three inner loops of dense products. Included by level.cpp only.

#include "kernels/vec.h"

namespace coppice::kernels::COPPICE_LEVEL {

/// Where a tile goes, and what is added to it on the way.
template <class T>
struct Out {
  T* c;
  i64 ldc;
  i64 rows, cols;     // what exists of the tile
  bool add;           // to what C holds
  const T* row_bias;  // for the tile's first column, or null
  const T* col_bias;  // for the tile's first row, or null
  i64 step = 1;       // between columns of C
  i64 from = 0;       // first column to write
};

/// Adds what is asked for and writes a finished tile, whose rows are `stride` apart. One copy for all tiles: these few
/// instructions per element would otherwise be most of the program.
template <class T>
COPPICE_NOINLINE void write(const T* tile, i64 stride, const Out<T>& o) {
  constexpr int w = kLanes<T>;
  for (i64 r = 0; r < o.rows; ++r) {
    T* c = o.c + r * o.ldc;
    const T extra = o.col_bias ? o.col_bias[r] : T(0);
    i64 j = o.from;
    if (o.step == 1)
      for (; j + w <= o.cols; j += w) {
        Vec<T> x = load(tile + r * stride + j);
        if (o.add) x += load(c + j);
        if (o.row_bias) x += load(o.row_bias + j);
        if (o.col_bias) x += splat(extra);
        store(c + j, x);
      }
#pragma GCC unroll 1
    for (; j < o.cols; ++j) {
      T x = tile[r * stride + j];
      if (o.add) x += c[j * o.step];
      if (o.row_bias) x += o.row_bias[j];
      if (o.col_bias) x += extra;
      c[j * o.step] = x;
    }
  }
}

template <class T, int H, int NV>
COPPICE_INLINE void write_vectors(const Vec<T> (&acc)[H][NV], const Out<T>& o) {
  constexpr int w = kLanes<T>;
  alignas(64) T tile[H * NV * w];
#pragma GCC unroll 16
  for (int r = 0; r < H; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) store(tile + (r * NV + v) * w, acc[r][v]);
  write(tile, NV * w, o);
}

/// Dot product of two short rows.
template <class T>
COPPICE_NOINLINE T short_dot(const T* a, const T* b, i64 k) {
  T x = 0;
#pragma GCC unroll 1
  for (i64 q = 0; q < k; ++q) x += a[q] * b[q];
  return x;
}

/// H x NV vectors of C from packed A and from rows of B that are `bs` apart.
/// kLines: A is packed in lines, [k / line][H][line], so that packing it was copying; else [k][H].
template <class T, int H, int NV, bool kLines>
COPPICE_NOINLINE void packed_tile(i64 k, const T* a, const T* b, i64 bs, const Out<T>& o) {
  constexpr int w = kLanes<T>;
  constexpr i64 across = kLines ? kLine<T> : 1;
  Vec<T> acc[H][NV] = {};
  const auto step = [&](const T* ap, const T* bp) __attribute__((always_inline)) {
    Vec<T> bv[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) bv[v] = load(bp + v * w);
#pragma GCC unroll 16
    for (int r = 0; r < H; ++r) {
      const Vec<T> av = splat(ap[r * across]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[r][v] += av * bv[v];
    }
  };
  if constexpr (kLines) {
    for (; k >= kLine<T>; k -= kLine<T>) {
#pragma GCC unroll 2
      for (int q = 0; q < kLine<T>; ++q, b += bs) step(a + q, b);
      a += H * kLine<T>;
    }
    for (; k > 0; --k, ++a, b += bs) step(a, b);
  } else {
#pragma GCC unroll 2
    for (; k > 0; --k, a += H, b += bs) step(a, b);
  }
  write_vectors<T, H, NV>(acc, o);
}

/// H rows of C, NV vectors wide, with neither operand packed: element (r, q) of A is a[r * ar + q * aq].
template <class T, int H, int NV>
COPPICE_NOINLINE void direct_tile(i64 k, const T* a, i64 ar, i64 aq, const T* b, i64 ldb, const Out<T>& o) {
  constexpr int w = kLanes<T>;
  Vec<T> acc[H][NV] = {};
#pragma GCC unroll 2
  for (; k > 0; --k, a += aq, b += ldb) {
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      const Vec<T> bv = load(b + v * w);
#pragma GCC unroll 4
      for (int r = 0; r < H; ++r) acc[r][v] += splat(a[r * ar]) * bv;
    }
  }
  write_vectors<T, H, NV>(acc, o);
}

/// RA x RB dot products of rows that lie along k.
template <class T, int RA, int RB>
COPPICE_NOINLINE void dot_tile(i64 k, const T* a, i64 lda, const T* b, i64 ldb, const Out<T>& o) {
  constexpr int w = kLanes<T>;
  T total[RA * RB];
  if (k >= w) {
    Vec<T> acc[RA][RB] = {};
    const auto step = [&](auto fetch) __attribute__((always_inline)) {
      Vec<T> bv[RB];
#pragma GCC unroll 8
      for (int j = 0; j < RB; ++j) bv[j] = fetch(b + j * ldb);
#pragma GCC unroll 8
      for (int i = 0; i < RA; ++i) {
        const Vec<T> av = fetch(a + i * lda);
#pragma GCC unroll 8
        for (int j = 0; j < RB; ++j) acc[i][j] += av * bv[j];
      }
    };
#pragma GCC unroll 1
    for (i64 q = 0; q + w <= k; q += w)
      step([&](const T* row) __attribute__((always_inline)) { return load(row + q); });
    if (k % w) step([&](const T* row) __attribute__((always_inline)) { return load_tail(row, k); });
    sums<T, RA * RB>(&acc[0][0], total);
  } else {
#pragma GCC unroll 1
    for (int i = 0; i < RA * RB; ++i) total[i] = short_dot(a + i / RB * lda, b + i % RB * ldb, k);
  }
  write(total, RB, o);
}

}  // namespace coppice::kernels::COPPICE_LEVEL
