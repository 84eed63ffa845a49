#pragma once
/// Products of one level: packing, blocking, and the choice of the inner loop. Included by level.cpp only.

#include "kernels/dense/dense.h"
#include "kernels/dense/tiles.h"

namespace coppice::kernels::COPPICE_LEVEL {

template <class T>
COPPICE_INLINE Out<T> out_at(const Gemm<T>& p, i64 row, i64 col, i64 rows, i64 cols, bool first = true) {
  return {p.c + row * p.ldc + col,
          p.ldc,
          rows,
          cols,
          p.accumulate || !first,
          first && p.row_bias ? p.row_bias + col : nullptr,
          first && p.col_bias ? p.col_bias + row : nullptr};
}

/// A strip of `rows` of `height` rows, k deep; rows that do not exist are 0.
template <class T>
COPPICE_NOINLINE void pack_strip(const Gemm<T>& p, i64 row, i64 rows, i64 height, i64 at, i64 k, T* out) {
  if (p.trans_a) {  // stored [k, m]: k runs of `height` neighbours
    const T* a = p.a + at * p.lda + row;
    for (i64 q = 0; q < k; ++q, a += p.lda, out += height)
#pragma GCC unroll 1
      for (i64 r = 0; r < height; ++r) out[r] = r < rows ? a[r] : T(0);
    return;
  }
  constexpr i64 line = kLine<T>;
  for (i64 q = 0; q < k; q += line) {
    const i64 n = smaller(line, k - q);
    for (i64 r = 0; r < height; ++r, out += line) {
      const T* a = p.a + (row + r) * p.lda + at + q;
      if (r < rows && n == line)
        __builtin_memcpy(out, a, sizeof(T) * line);
      else
        for (i64 i = 0; i < n; ++i) out[i] = r < rows ? a[i] : T(0);
    }
  }
}

/// A panel of kTileN columns of op(B), k deep, [k][kTileN]; columns that do not exist are 0.
template <class T>
COPPICE_NOINLINE void pack_panel(const Gemm<T>& p, i64 at, i64 k, i64 col, i64 cols, T* out) {
  constexpr i64 n = kTileN<T>;
  constexpr i64 w = kLanes<T>;
  if (!p.trans_b) {
    const T* b = p.b + at * p.ldb + col;
    for (i64 q = 0; q < k; ++q, b += p.ldb, out += n) {
      if (cols == n)
        __builtin_memcpy(out, b, sizeof(T) * n);
      else
        for (i64 j = 0; j < n; ++j) out[j] = j < cols ? b[j] : T(0);
    }
    return;
  }
  const T* b = p.b + col * p.ldb + at;
  for (i64 j = 0; j < n; j += w) {
    i64 q = 0;
    if (j + w <= cols)
      for (; q + w <= k; q += w) {
        Vec<T> rows[w];
#pragma GCC unroll 16
        for (i64 i = 0; i < w; ++i) rows[i] = load(b + (j + i) * p.ldb + q);
        transpose<T>(rows);
#pragma GCC unroll 16
        for (i64 i = 0; i < w; ++i) store(out + (q + i) * n + j, rows[i]);
      }
    for (; q < k; ++q)
      for (i64 i = j; i < j + w; ++i) out[q * n + i] = i < cols ? b[i * p.ldb + q] : T(0);
  }
}

template <class T, int H, bool kLines>
COPPICE_INLINE void strip_times_panel(i64 k, const T* a, const T* b, i64 bs, const Out<T>& o) {
  if (sizeof(T) == 8 || o.cols > kLanes<T>)
    packed_tile<T, H, 2, kLines>(k, a, b, bs, o);
  else if constexpr (sizeof(T) == 4)
    packed_tile<T, H, 1, kLines>(k, a, b, bs, o);
}

/// Rows of the last, lower strip are rounded up to this. Double serves references and gradient checks: fewer
/// variants keep the program small.
template <class T>
inline constexpr int kHeightUnit = sizeof(T) == 4 ? kTileM / 3 : kTileM;

template <class T, bool kLines>
void strips_times_panel(i64 m, i64 k, const T* a, const T* b, i64 bs, Out<T> o) {
  constexpr int unit = kHeightUnit<T>;
  constexpr i64 line = kLine<T>;
  const i64 deep = kLines ? (k + line - 1) / line * line : k;
  for (i64 r = 0; r < m; r += kTileM) {
    o.rows = smaller(kTileM, m - r);
    if (unit == kTileM || o.rows > 2 * unit)
      strip_times_panel<T, kTileM, kLines>(k, a, b, bs, o);
    else if constexpr (unit != kTileM) {
      if (o.rows > unit)
        strip_times_panel<T, 2 * unit, kLines>(k, a, b, bs, o);
      else
        strip_times_panel<T, unit, kLines>(k, a, b, bs, o);
    }
    a += deep * kTileM;  // only the last strip is lower
    o.c += kTileM * o.ldc;
    if (o.col_bias) o.col_bias += kTileM;
  }
}

template <class T>
void packed_gemm(const Gemm<T>& p, T* scratch) {
  constexpr int unit = kHeightUnit<T>;
  T* const pa = scratch;
  T* const pb = scratch + kBlockM * kBlockK;
  for (i64 j = 0; j < p.n; j += kBlockN) {
    const i64 n = smaller(kBlockN, p.n - j);
    for (i64 q = 0; q < p.k; q += kBlockK) {
      const i64 k = smaller(kBlockK, p.k - q);
      // Few rows: B is used about once, so whole panels are read where they lie.
      const bool in_place = !p.trans_b && p.m <= 2 * kTileM;
      for (i64 c = 0; c < n; c += kTileN<T>)
        if (!in_place || n - c < kTileN<T>) pack_panel(p, q, k, j + c, smaller(kTileN<T>, n - c), pb + c * k);
      for (i64 i = 0; i < p.m; i += kBlockM) {
        const i64 m = smaller(kBlockM, p.m - i);
        const i64 deep = p.trans_a ? k : (k + kLine<T> - 1) / kLine<T> * kLine<T>;
        for (i64 r = 0; r < m; r += kTileM) {
          const i64 rows = smaller(kTileM, m - r);
          const i64 height = (rows + unit - 1) / unit * unit;
          pack_strip(p, i + r, rows, height, q, k, pa + r * deep);
        }
        for (i64 c = 0; c < n; c += kTileN<T>) {
          const i64 cols = smaller(kTileN<T>, n - c);
          const bool direct = in_place && cols == kTileN<T>;
          const T* b = direct ? p.b + q * p.ldb + j + c : pb + c * k;
          const i64 bs = direct ? p.ldb : kTileN<T>;
          const Out<T> o = out_at(p, i, j + c, m, cols, q == 0);
          if (p.trans_a)
            strips_times_panel<T, false>(m, k, pa, b, bs, o);
          else
            strips_times_panel<T, true>(m, k, pa, b, bs, o);
        }
      }
    }
  }
}

}  // namespace coppice::kernels::COPPICE_LEVEL
