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
  Ints offset, zeros = {}, bias = {};
  Floats scale = {}, term = {}, low, high, zero;
  bool has_zeros, relu;

  COPPICE_INLINE Columns(const Int8Out& o, i64 j) : has_zeros(o.zeros != nullptr), relu(o.relu) {
    offset = load_ints(o.columns + j) * o.input_zero;
    if (has_zeros) zeros = load_ints(o.zeros + j);
    if constexpr (kRule != Int8Rule::sums) scale = load(o.scale + j);
    if constexpr (kRule == Int8Rule::fused || kRule == Int8Rule::rounded) scale = scale * splat(o.input_scale);
    if constexpr (kRule == Int8Rule::qnnpack)
      bias = load_ints(o.bias + j);
    else if constexpr (kRule != Int8Rule::sums)
      term = load(o.term + j);
    const i32 shift = kRule == Int8Rule::onednn ? 0 : o.output_zero;
    low = splat(static_cast<float>(o.low - shift));
    high = splat(static_cast<float>(o.high - shift));
    zero = splat(static_cast<float>(o.output_zero));
  }

  /// Of the sums of row r: 32-bit integers or floats, as the rule says.
  COPPICE_INLINE Ints operator()(Ints acc, const Int8Out& o, i64 r) const {
    acc -= offset;
    if (has_zeros) acc -= zeros * o.row_sums[r];
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
    const Ints q = nearest(smaller_of(larger_of(y, low), high));
    return kRule == Int8Rule::onednn ? q : q + o.output_zero;
  }
};

template <Int8Rule kRule>
COPPICE_NOINLINE void write_rule(const i32* sums, i64 stride, i64 row, i64 rows, i64 col, i64 cols, const Int8Out& o) {
  constexpr i64 size = kBytes<kRule> ? 1 : 4;
  for (i64 j = 0; j < cols; j += kInts) {
    const Columns<kRule> at(o, col + j);
    const bool whole = j + kInts <= cols;
    auto* y = static_cast<u8*>(o.y) + (row * o.y_stride + col + j) * size;
    for (i64 r = 0; r < rows; ++r, y += o.y_stride * size) {
      const Ints v = at(load_ints(sums + r * stride + j), o, row + r);
      u8 part[COPPICE_VECTOR_BYTES];
      u8* const to = whole ? y : part;
      if constexpr (size == 1)
        store_bytes(to, v);
      else
        store_ints(to, v);
      if (!whole)
        for (i64 i = 0; i < (cols - j) * size; ++i) y[i] = part[i];
    }
  }
}

/// Writes rows row .. row + rows, columns col .. col + cols of y, whose sums of products xq wq are sums[r * stride +
/// j], readable up to whole vectors.
inline void write_outputs(const i32* sums, i64 stride, i64 row, i64 rows, i64 col, i64 cols, const Int8Out& o) {
  switch (o.rule) {
    case Int8Rule::sums: return write_rule<Int8Rule::sums>(sums, stride, row, rows, col, cols, o);
    case Int8Rule::fused: return write_rule<Int8Rule::fused>(sums, stride, row, rows, col, cols, o);
    case Int8Rule::rounded: return write_rule<Int8Rule::rounded>(sums, stride, row, rows, col, cols, o);
    case Int8Rule::fbgemm: return write_rule<Int8Rule::fbgemm>(sums, stride, row, rows, col, cols, o);
    case Int8Rule::onednn: return write_rule<Int8Rule::onednn>(sums, stride, row, rows, col, cols, o);
    case Int8Rule::qnnpack: return write_rule<Int8Rule::qnnpack>(sums, stride, row, rows, col, cols, o);
  }
}

}  // namespace coppice::kernels::COPPICE_LEVEL
