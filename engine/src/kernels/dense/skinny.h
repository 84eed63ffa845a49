#pragma once
/// Products with few rows or columns, where packing would cost more than the arithmetic. Included by level.cpp only.

#include "kernels/dense/products.h"

namespace coppice::kernels::COPPICE_LEVEL {

/// RA rows of C, columns `from` .. `to`; `step` is the distance between columns of C.
template <class T, int RA>
void dot_columns(const Gemm<T>& p, i64 row, i64 from, i64 to, i64 step) {
  constexpr int wide = RA == 1 ? 8 : 4;
  const T* a = p.a + row * p.lda;
  const auto out = [&](i64 col, i64 cols, i64 fresh) {
    Out<T> o = out_at(p, row, col, RA, cols);
    o.c = p.c + row * p.ldc + col * step;
    o.step = step;
    o.from = fresh;
    return o;
  };
  i64 j = from;
  for (; j + wide <= to; j += wide) dot_tile<T, RA, wide>(p.k, a, p.lda, p.b + j * p.ldb, p.ldb, out(j, wide, 0));
  if (j == to) return;
  if (to >= wide) {  // the last group overlaps the one before, and writes what is new
    j = to - wide;
    dot_tile<T, RA, wide>(p.k, a, p.lda, p.b + j * p.ldb, p.ldb, out(j, wide, wide - (to - from) % wide));
    return;
  }
  for (; j < to; ++j) dot_tile<T, RA, 1>(p.k, a, p.lda, p.b + j * p.ldb, p.ldb, out(j, 1, 0));
}

/// Rows of A against rows of a transposed B: both lie along k, nothing is packed. Rows of B pass once.
template <class T>
COPPICE_NOINLINE void dot_gemm(const Gemm<T>& p, i64 step) {
  constexpr i64 most = sizeof(T) == 4 ? kDotRows : 3;
  const i64 groups = (p.m + most - 1) / most;
  const i64 wide = p.m == 1 ? p.n : 4;
  for (i64 j = 0; j < p.n; j += wide) {
    const i64 to = smaller(j + wide, p.n);
    for (i64 g = 0, row = 0; g < groups; ++g) {
      const i64 next = p.m * (g + 1) / groups;  // groups of nearly equal height
      switch (next - row) {
        case 1: dot_columns<T, 1>(p, row, j, to, step); break;
        case 2: dot_columns<T, 2>(p, row, j, to, step); break;
        case 3: dot_columns<T, 3>(p, row, j, to, step); break;
        case 4:
          if constexpr (most >= 4) dot_columns<T, 4>(p, row, j, to, step);
          break;
        case 5:
          if constexpr (most >= 6) dot_columns<T, 5>(p, row, j, to, step);
          break;
        case 6:
          if constexpr (most >= 6) dot_columns<T, 6>(p, row, j, to, step);
          break;
        default: break;
      }
      row = next;
    }
  }
}

/// H rows against a B that lies along n: nothing is packed. B is walked in slabs of a few of its rows, so that
/// neighbouring tiles find the same pages and the prefetchers see long runs.
template <class T, int H>
void direct_rows(const Gemm<T>& p, i64 row) {
  constexpr i64 w = kLanes<T>;
  constexpr i64 slab = H == 1 ? 16 : 32;  // 1 x 1024 x 1024: 60 µs, 83 µs without slabs
  const i64 ar = p.trans_a ? 1 : p.lda, aq = p.trans_a ? p.lda : 1;
  for (i64 q = 0; q < p.k; q += slab) {
    const i64 k = smaller(slab, p.k - q);
    const T* a = p.a + row * ar + q * aq;
    const T* b = p.b + q * p.ldb;
    i64 j = 0;
    for (; j + 4 * w <= p.n; j += 4 * w)
      direct_tile<T, H, 4>(k, a, ar, aq, b + j, p.ldb, out_at(p, row, j, H, 4 * w, q == 0));
    for (; j + w <= p.n; j += w) direct_tile<T, H, 1>(k, a, ar, aq, b + j, p.ldb, out_at(p, row, j, H, w, q == 0));
    for (; j < p.n; ++j)
      for (i64 i = 0; i < H; ++i) {
        T x = 0;
#pragma GCC unroll 1
        for (i64 r = 0; r < k; ++r) x += a[i * ar + r * aq] * b[r * p.ldb + j];
        write(&x, 1, out_at(p, row + i, j, 1, 1, q == 0));
      }
  }
}

template <class T>
COPPICE_NOINLINE void direct_gemm(const Gemm<T>& p) {
  if constexpr (sizeof(T) == 4) {
    if (p.m == 2) return direct_rows<T, 2>(p, 0);
    if (p.m == 3) return direct_rows<T, 3>(p, 0);
    if (p.m == 4) return direct_rows<T, 4>(p, 0);
  }
  for (i64 i = 0; i < p.m; ++i) direct_rows<T, 1>(p, i);
}

/// C without a product: 0 or what it holds, plus biases.
template <class T>
COPPICE_NOINLINE void empty_gemm(const Gemm<T>& p) {
  for (i64 i = 0; i < p.m; ++i)
    for (i64 j = 0; j < p.n; ++j) {
      T* c = p.c + i * p.ldc + j;
      T x = p.accumulate ? *c : T(0);
      if (p.row_bias) x += p.row_bias[j];
      if (p.col_bias) x += p.col_bias[i];
      *c = x;
    }
}

template <class T>
void any_gemm(const Gemm<T>& p, T* scratch) {
  if (p.m == 0 || p.n == 0) return;
  if (p.k == 0) return empty_gemm(p);
  if (p.n == 1 && p.m > 1 && (p.trans_b || p.ldb == 1)) {  // one column: the transposed product has one row
    Gemm<T> t = p;
    t.m = 1, t.n = p.m;
    t.a = p.b, t.lda = p.k, t.trans_a = false;
    t.b = p.a, t.ldb = p.lda, t.trans_b = !p.trans_a;
    t.row_bias = p.col_bias, t.col_bias = p.row_bias;
    if (t.trans_b) return dot_gemm(t, p.ldc);
    if (p.ldc == 1) return direct_gemm(t);
  }
  // Dots reread A for every four rows of B: as long as A stays in the second-level cache that costs less than
  // transposing B. Narrow results gain in any case.
  if (!p.trans_a && p.trans_b && (p.m <= 16 || p.n <= 16 || (p.m <= 64 && p.m * p.k <= 65536))) return dot_gemm(p, 1);
  if (!p.trans_b && p.m <= 4) return direct_gemm(p);
  packed_gemm(p, scratch);
}

}  // namespace coppice::kernels::COPPICE_LEVEL
