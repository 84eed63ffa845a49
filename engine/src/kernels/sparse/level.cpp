// Sparse products of one instruction-set level. Highway is used in its static form: the level comes from -march, the
// choice among levels is cpu_level(), and no part of libhwy is linked.

#ifndef HWY_COMPILE_ONLY_STATIC
#define HWY_COMPILE_ONLY_STATIC
#endif
#define HWY_DISABLE_PCLMUL_AES  // not part of the x86-64 levels, and not needed
#include <hwy/highway.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "kernels/sparse/sparse.h"
#include "kernels/table.h"
#include "kernels/vec.h"

HWY_BEFORE_NAMESPACE();
namespace coppice::kernels::COPPICE_LEVEL {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

#if defined(__AVX512F__)
static_assert(HWY_TARGET == HWY_AVX3);
#elif defined(__AVX2__)
static_assert(HWY_TARGET == HWY_AVX2);
#endif

using Wide = hn::CappedTag<float, 16>;
constexpr int kWide = static_cast<int>(HWY_LANES(float)) < 16 ? static_cast<int>(HWY_LANES(float)) : 16;
constexpr bool kManyRegisters = HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM_A64;

/// `S` rows of a block row, from row `sub` on, against V vectors of samples.
template <class D, int R, int S, int V, class Index>
HWY_INLINE void samples(D d, const Index* columns, const float* values, i64 blocks, i64 sub, const float* x, i64 xs,
                        const float* bias, float* y, i64 ys, i64 rows) {
  const i64 n = static_cast<i64>(hn::Lanes(d));
  using Vector = hn::Vec<D>;
  constexpr int chains = R == 1 ? 2 : 1;  // one row has few accumulators: its blocks take turns
  Vector acc[chains][S][V];
#pragma GCC unroll 2
  for (int c = 0; c < chains; ++c)
#pragma GCC unroll 16
    for (int r = 0; r < S; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[c][r][v] = hn::Zero(d);
  const auto step = [&](int chain, i64 k) HWY_ATTR {
    const float* xk = x + static_cast<i64>(columns[k]) * xs;
    const float* w = values + k * R + sub;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Vector xv = hn::LoadU(d, xk + v * n);
#pragma GCC unroll 16
      for (int r = 0; r < S; ++r) acc[chain][r][v] = hn::MulAdd(hn::Set(d, w[r]), xv, acc[chain][r][v]);
    }
  };
  i64 k = 0;
  for (; k + chains <= blocks; k += chains)
#pragma GCC unroll 2
    for (int c = 0; c < chains; ++c) step(c, k + c);
  if (k < blocks) step(0, k);
#pragma GCC unroll 16
  for (int r = 0; r < S; ++r) {
    if (r >= rows) break;
    const Vector b = hn::Set(d, bias ? bias[r] : 0.0f);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      Vector sum = acc[0][r][v];
      if constexpr (chains == 2) sum = hn::Add(sum, acc[1][r][v]);
      hn::StoreU(hn::Add(sum, b), d, y + r * ys + v * n);
    }
  }
}

template <class D, int R, int S, int V, class Index>
HWY_NOINLINE void group(const Index* columns, const float* values, i64 blocks, const float* x, i64 xs,
                        const float* bias, float* y, i64 ys, i64 rows) {
  for (i64 sub = 0; sub < smaller(R, rows); sub += S)
    samples<D, R, S, V>(D(), columns, values, blocks, sub, x, xs, bias ? bias + sub : nullptr, y + sub * ys, ys,
                        rows - sub);
}

/// Vectors of samples that a group of height R keeps in registers, and rows when they do not all fit.
template <int R>
constexpr int kVectors = R == 1           ? 4
                         : kManyRegisters ? 16 / R
                         : R == 4         ? 2
                                          : 1;
template <int R>
constexpr int kRows = R == 16 && !kManyRegisters ? 8 : R;

template <int R, class Index>
HWY_INLINE void spmm_rows(const PackedView& w, const Index* all_columns, const float* x, i64 xs, i64 n,
                          const float* bias, float* y, i64 ys, i64 begin, i64 end) {
  constexpr int S = kRows<R>, V = kVectors<R>;
  constexpr i64 tile = V * kWide;
  // Samples outside, groups inside: the samples' columns stay in the cache.
  for (i64 s = 0; s < n;) {
    const i64 left = n - s;
    i64 taken = left >= tile              ? tile
                : left >= kWide           ? kWide
                : left >= 8 && kWide > 8  ? 8
                : left >= 4 && kWide >= 4 ? 4
                                          : 1;
    // A short rest is computed together with samples that are done already: the same numbers are written again.
    if (taken < kWide && n >= kWide) {
      s = n - kWide;
      taken = kWide;
    }
    for (i64 g = begin; g < end; ++g) {
      const i64 at = w.offsets[g], blocks = w.offsets[g + 1] - at, row = g * R, rows = smaller(R, w.rows - row);
      const Index* columns = all_columns + at;
      const float* values = w.values + at * R;
      const float* b = bias ? bias + row : nullptr;
      float* out = y + (row - begin * R) * ys + s;
      const float* in = x + s;
      if (taken == tile)
        group<Wide, R, S, V>(columns, values, blocks, in, xs, b, out, ys, rows);
      else if (taken == kWide)
        group<Wide, R, S, 1>(columns, values, blocks, in, xs, b, out, ys, rows);
      else if (kWide > 8 && taken == 8)
        group<hn::CappedTag<float, 8>, R, S, 1>(columns, values, blocks, in, xs, b, out, ys, rows);
      else if (taken == 4)
        group<hn::CappedTag<float, 4>, R, S, 1>(columns, values, blocks, in, xs, b, out, ys, rows);
      else
        group<hn::CappedTag<float, 1>, R, S, 1>(columns, values, blocks, in, xs, b, out, ys, rows);
    }
    s += taken;
  }
}

/// One sample: the block's values are the vector, the input is broadcast. Several blocks in flight.
template <int R, class Index>
HWY_INLINE void spmv_rows(const PackedView& w, const Index* all_columns, const float* x, const float* bias, float* y,
                          i64 begin, i64 end) {
  const hn::CappedTag<float, R> d;
  using Vector = hn::Vec<decltype(d)>;
  constexpr int n = kWide < R ? kWide : R;
  constexpr int parts = R / n;
  constexpr int flight = parts == 4 ? 2 : 4;
  for (i64 g = begin; g < end; ++g) {
    const Index* columns = all_columns + w.offsets[g];
    const float* values = w.values + static_cast<i64>(w.offsets[g]) * R;
    const i64 blocks = w.offsets[g + 1] - w.offsets[g];
    Vector acc[flight][parts];
#pragma GCC unroll 8
    for (int f = 0; f < flight; ++f)
#pragma GCC unroll 4
      for (int p = 0; p < parts; ++p) acc[f][p] = hn::Zero(d);
    const auto step = [&](int f, i64 k) HWY_ATTR {
      const Vector xv = hn::Set(d, x[columns[k]]);
#pragma GCC unroll 4
      for (int p = 0; p < parts; ++p) acc[f][p] = hn::MulAdd(hn::LoadU(d, values + k * R + p * n), xv, acc[f][p]);
    };
    i64 k = 0;
    for (; k + flight <= blocks; k += flight)
#pragma GCC unroll 8
      for (int f = 0; f < flight; ++f) step(f, k + f);
    for (; k < blocks; ++k) step(0, k);
    float sums[R];
#pragma GCC unroll 4
    for (int p = 0; p < parts; ++p) {
#pragma GCC unroll 8
      for (int f = 1; f < flight; ++f) acc[0][p] = hn::Add(acc[0][p], acc[f][p]);
      hn::StoreU(acc[0][p], d, sums + p * n);
    }
    for (i64 r = 0; r < smaller(R, w.rows - g * R); ++r) y[g * R + r] = sums[r] + (bias ? bias[g * R + r] : 0.0f);
  }
}

template <class Index>
HWY_INLINE void csr_rows(const PackedView& w, const Index* columns, const float* x, const float* bias, float* y,
                         i64 begin, i64 end) {
  for (i64 r = begin; r < end; ++r) {
    float a = 0, b = 0, c = 0, d = 0;
    i64 k = w.offsets[r];
    const i64 stop = w.offsets[r + 1];
    for (; k + 4 <= stop; k += 4) {
      a += w.values[k] * x[columns[k]];
      b += w.values[k + 1] * x[columns[k + 1]];
      c += w.values[k + 2] * x[columns[k + 2]];
      d += w.values[k + 3] * x[columns[k + 3]];
    }
    for (; k < stop; ++k) a += w.values[k] * x[columns[k]];
    y[r] = (a + b) + (c + d) + (bias ? bias[r] : 0.0f);
  }
}

template <class Index>
void spmv_any(const PackedView& w, const Index* columns, const float* x, const float* bias, float* y, i64 begin,
              i64 end) {
  switch (w.height) {
    case 4: return spmv_rows<4>(w, columns, x, bias, y, begin, end);
    case 8: return spmv_rows<8>(w, columns, x, bias, y, begin, end);
    case 16: return spmv_rows<16>(w, columns, x, bias, y, begin, end);
    default: return csr_rows(w, columns, x, bias, y, begin, end);
  }
}

template <class Index>
void spmm_any(const PackedView& w, const Index* columns, const float* x, i64 xs, i64 n, const float* bias, float* y,
              i64 ys, i64 begin, i64 end) {
  switch (w.height) {
    case 4: return spmm_rows<4>(w, columns, x, xs, n, bias, y, ys, begin, end);
    case 8: return spmm_rows<8>(w, columns, x, xs, n, bias, y, ys, begin, end);
    case 16: return spmm_rows<16>(w, columns, x, xs, n, bias, y, ys, begin, end);
    default: return spmm_rows<1>(w, columns, x, xs, n, bias, y, ys, begin, end);
  }
}

void spmv(const PackedView& w, const float* x, const float* bias, float* y, i64 begin, i64 end) {
  if (w.columns16)
    spmv_any(w, w.columns16, x, bias, y, begin, end);
  else
    spmv_any(w, w.columns32, x, bias, y, begin, end);
}

void spmm(const PackedView& w, const float* x, i64 xs, i64 n, const float* bias, float* y, i64 ys, i64 begin, i64 end) {
  if (w.columns16)
    spmm_any(w, w.columns16, x, xs, n, bias, y, ys, begin, end);
  else
    spmm_any(w, w.columns32, x, xs, n, bias, y, ys, begin, end);
}

const float* expand(const std::uint8_t* mask, const float* values, const float* values_end, i64 cols, float* out) {
  i64 c = 0;
#if defined(__AVX512F__)
  for (; c + 16 <= cols; c += 16, mask += 2) {
    const auto bits = static_cast<__mmask16>(mask[0] | mask[1] << 8);
    _mm512_storeu_ps(out + c, _mm512_maskz_expandloadu_ps(bits, values));
    values += __builtin_popcount(bits);
  }
#endif
  for (; c < cols; c += 8, ++mask) {
    const i64 n = smaller(8, cols - c);
    const unsigned bits = *mask;
    if (n == 8 && values_end - values >= 8) {  // without branches: a skipped value is read again
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) {
        const unsigned bit = bits >> j & 1u;
        out[c + j] = bit ? *values : 0.0f;
        values += bit;
      }
    } else {
      for (i64 j = 0; j < n; ++j) out[c + j] = bits >> j & 1u ? *values++ : 0.0f;
    }
  }
  return values;
}

}  // namespace
}  // namespace coppice::kernels::COPPICE_LEVEL
HWY_AFTER_NAMESPACE();

namespace coppice::kernels {

extern const SparseKernels COPPICE_TABLE(kSparse_);
const SparseKernels COPPICE_TABLE(kSparse_) = {COPPICE_LEVEL::spmv, COPPICE_LEVEL::spmm, COPPICE_LEVEL::expand};

}  // namespace coppice::kernels
