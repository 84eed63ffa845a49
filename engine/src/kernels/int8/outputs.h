#pragma once
/// From finished sums to what is written. Included by level.cpp only.

#include "kernels/int8/int8.h"
#include "kernels/int8/lanes.h"

namespace coppice::kernels::COPPICE_LEVEL {

/// acc + bias, at the limits of 32 bits where it does not fit.
COPPICE_INLINE Ints saturated_sum(Ints acc, Ints bias) {
  const Ints sum = acc + bias, over = (acc ^ sum) & (bias ^ sum);  // negative: both have another sign than the sum
  const Ints limit = acc >> 31 ^ 0x7fffffff, wrong = over >> 31;
  return (sum & ~wrong) | (limit & wrong);
}

template <Int8Rule kRule>
inline constexpr bool kBytes = kRule == Int8Rule::fbgemm || kRule == Int8Rule::onednn || kRule == Int8Rule::qnnpack;

/// One vector of outputs j .. j + kInts.
template <Int8Rule kRule>
struct Columns {
  Ints offset, zeros = {}, bias = {}, shift;
  Floats scale = {}, term = {}, low, high, zero;
  const i32* row_sums;  // null: no zeros
  bool relu;

  COPPICE_INLINE Columns(const Int8Out& o, i64 j) : row_sums(o.zeros ? o.row_sums : nullptr), relu(o.relu) {
    offset = load_ints(o.columns + j) * o.input_zero;
    if (row_sums) zeros = load_ints(o.zeros + j);
    if constexpr (kRule != Int8Rule::sums) scale = load(o.scale + j);
    if constexpr (kRule == Int8Rule::fused || kRule == Int8Rule::rounded) scale = scale * splat(o.input_scale);
    if constexpr (kRule == Int8Rule::qnnpack)
      bias = load_ints(o.bias + j);
    else if constexpr (kRule != Int8Rule::sums)
      term = load(o.term + j);
    const i32 after = kRule == Int8Rule::onednn ? 0 : o.output_zero;
    shift = splat_int(after);
    low = splat(static_cast<float>(o.low - after));
    high = splat(static_cast<float>(o.high - after));
    zero = splat(static_cast<float>(o.output_zero));
  }

  /// Of the sums of row r: 32-bit integers or floats, as the rule says.
  COPPICE_INLINE Ints operator()(Ints acc, i64 r) const {
    acc -= offset;
    if (row_sums) acc -= zeros * row_sums[r];
    if constexpr (kRule == Int8Rule::sums) return acc;
    if constexpr (kRule == Int8Rule::qnnpack) acc = saturated_sum(acc, bias);
    Floats y = floats(acc);
    if constexpr (kRule == Int8Rule::fused || kRule == Int8Rule::rounded) {
      y = kRule == Int8Rule::fused ? fused(y, scale, term) : y * scale + term;
      if (relu) y = larger_of(Floats{}, y);  // NaN stays
      return (Ints)y;
    }
    if constexpr (kRule == Int8Rule::qnnpack)
      y = y * scale;
    else
      y = (y + term) * scale;
    if constexpr (kRule == Int8Rule::onednn) y = y + zero;
    return nearest(smaller_of(larger_of(y, low), high)) + shift;
  }
};

template <Int8Rule kRule>
COPPICE_INLINE void write_vector(Ints v, u8* y, i64 count) {
  constexpr i64 size = kBytes<kRule> ? 1 : 4;
  u8 part[COPPICE_VECTOR_BYTES];
  u8* const to = count >= kInts ? y : part;
  if constexpr (size == 1)
    store_bytes(to, v);
  else
    store_ints(to, v);
  if (count < kInts)
    for (i64 i = 0; i < count * size; ++i) y[i] = part[i];
}

template <Int8Rule kRule>
COPPICE_NOINLINE void write_rule(const i32* sums, i64 stride, i64 row, i64 rows, i64 col, i64 cols, const Int8Out& o) {
  constexpr i64 size = kBytes<kRule> ? 1 : 4;
  for (i64 j = 0; j < cols; j += kInts) {
    const Columns<kRule> at(o, col + j);
    auto* y = static_cast<u8*>(o.y) + (row * o.y_stride + col + j) * size;
    for (i64 r = 0; r < rows; ++r, y += o.y_stride * size)
      write_vector<kRule>(at(load_ints(sums + r * stride + j), row + r), y, cols - j);
  }
}

/// Distance of rows of sums that write_turned() takes.
inline constexpr i64 kTurned = 64;

/// kInts rows of `in` as columns.
COPPICE_INLINE void load_turned(const i32* in, Floats (&t)[kInts]) {
#if defined(__AVX512F__)
  // Quarters of rows r, r + 4, r + 8 and r + 12 come together as they are loaded, which costs no shuffle. GCC 12 would
  // load them all first, and keep them on the stack.
#define COPPICE_QUARTER(v, i) \
  __asm__("vinsertf32x4 $" #i ", %1, %0, %0" : "+v"(v) : "m"(*(const __m128*)(row + 4 * i * kTurned)))
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) {
    __m512 v[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const i32* const row = in + r * kTurned + 4 * q;
      v[r] = _mm512_castps128_ps512(_mm_load_ps(reinterpret_cast<const float*>(row)));
      COPPICE_QUARTER(v[r], 1);
      COPPICE_QUARTER(v[r], 2);
      COPPICE_QUARTER(v[r], 3);
    }
    const __m512 a = _mm512_unpacklo_ps(v[0], v[1]), b = _mm512_unpackhi_ps(v[0], v[1]);
    const __m512 c = _mm512_unpacklo_ps(v[2], v[3]), d = _mm512_unpackhi_ps(v[2], v[3]);
    t[4 * q] = (Floats)_mm512_shuffle_ps(a, c, 0x44);
    t[4 * q + 1] = (Floats)_mm512_shuffle_ps(a, c, 0xee);
    t[4 * q + 2] = (Floats)_mm512_shuffle_ps(b, d, 0x44);
    t[4 * q + 3] = (Floats)_mm512_shuffle_ps(b, d, 0xee);
  }
#undef COPPICE_QUARTER
#else
#pragma GCC unroll 16
  for (int i = 0; i < kInts; ++i) t[i] = (Floats)load_ints(in + i * kTurned);
  transpose<float>(t);
#endif
}

template <Int8Rule kRule>
COPPICE_NOINLINE void write_turned_rule(const i32* sums, i64 row, i64 rows, i64 col, i64 cols, const Int8Out& o) {
  constexpr i64 size = kBytes<kRule> ? 1 : 4;
  const i64 stride = o.y_stride * size;
  for (i64 j = 0; j < cols; j += kInts) {
    const Columns<kRule> at(o, col + j);
    for (i64 first = 0; first < rows; first += kInts) {
      auto* y = static_cast<u8*>(o.y) + ((row + first) * o.y_stride + col + j) * size;
      Floats t[kInts];
      load_turned(sums + j * kTurned + first, t);
      if (first + kInts <= rows && j + kInts <= cols) {
#pragma GCC unroll 16
        for (int r = 0; r < kInts; ++r, y += stride) write_vector<kRule>(at((Ints)t[r], row + first + r), y, kInts);
      } else {
        alignas(64) i32 rest[kInts * kInts];
#pragma GCC unroll 16
        for (int r = 0; r < kInts; ++r) store_ints(rest + r * kInts, (Ints)t[r]);
        for (i64 r = 0; r < smaller(kInts, rows - first); ++r, y += stride)
          write_vector<kRule>(at(load_ints(rest + r * kInts), row + first + r), y, cols - j);
      }
    }
  }
}

/// Calls f with the rule as a constant.
template <class F>
COPPICE_INLINE void with_rule(Int8Rule rule, const F& f) {
  switch (rule) {
    case Int8Rule::sums: return f.template operator()<Int8Rule::sums>();
    case Int8Rule::fused: return f.template operator()<Int8Rule::fused>();
    case Int8Rule::rounded: return f.template operator()<Int8Rule::rounded>();
    case Int8Rule::fbgemm: return f.template operator()<Int8Rule::fbgemm>();
    case Int8Rule::onednn: return f.template operator()<Int8Rule::onednn>();
    case Int8Rule::qnnpack: return f.template operator()<Int8Rule::qnnpack>();
  }
}

/// Writes rows row .. row + rows, columns col .. col + cols of y, whose sums of products xq wq are sums[r * stride +
/// j], readable up to whole vectors.
inline void write_outputs(const i32* sums, i64 stride, i64 row, i64 rows, i64 col, i64 cols, const Int8Out& o) {
  with_rule(o.rule, [&]<Int8Rule kRule>() { write_rule<kRule>(sums, stride, row, rows, col, cols, o); });
}

/// The same of sums[j * kTurned + r], readable up to whole vectors of rows and of columns, on a cache line.
inline void write_turned(const i32* sums, i64 row, i64 rows, i64 col, i64 cols, const Int8Out& o) {
  with_rule(o.rule, [&]<Int8Rule kRule>() { write_turned_rule<kRule>(sums, row, rows, col, cols, o); });
}

}  // namespace coppice::kernels::COPPICE_LEVEL
