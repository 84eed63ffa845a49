#pragma once
/// What products of dense and of sparse bytes share: sizes, tasks, and rows that can be read in fours.

#include <algorithm>
#include <cstring>

#include "quant/int8_linear.h"

namespace coppice::quant {

inline constexpr std::int64_t kTaskProducts = 4'000'000;  // about 20 µs

[[nodiscard]] inline std::int64_t panels_of(std::int64_t n) { return (n + kernels::kPanel - 1) / kernels::kPanel; }

/// Bytes of an element that a rule writes.
[[nodiscard]] inline std::int64_t size_of(kernels::Int8Rule rule) {
  using kernels::Int8Rule;
  return rule == Int8Rule::fbgemm || rule == Int8Rule::onednn || rule == Int8Rule::qnnpack ? 1 : 4;
}

/// Makes rows of x [m, x_stride] readable up to row_stride(k): copies them where their distance is shorter or no
/// multiple of 4, and lets x and x_stride name the copy, which lives as long as what is returned.
[[nodiscard]] inline Aligned<std::uint8_t> whole_fours(std::int64_t m, std::int64_t k, const std::uint8_t*& x,
                                                       std::int64_t& x_stride) {
  const std::int64_t stride = row_stride(k);
  if (x_stride >= stride && x_stride % 4 == 0) return nullptr;
  auto padded = aligned<std::uint8_t>(static_cast<std::size_t>(m * stride));
  std::memset(padded.get(), 0, static_cast<std::size_t>(m * stride));
  for (std::int64_t r = 0; r < m; ++r) std::copy_n(x + r * x_stride, k, padded.get() + r * stride);
  x = padded.get();
  x_stride = stride;
  return padded;
}

}  // namespace coppice::quant
