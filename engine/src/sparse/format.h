#pragma once
/// What a row of the table of packed formats holds, and what its functions share. A format is a file here that defines
/// its row, and a line in formats.cpp.

#include <cmath>
#include <limits>
#include <span>
#include <string_view>

#include "coppice/engine/sparse/packed_matrix.h"

namespace coppice {

namespace sparse {

using Members = PackedMatrix::Members;

/// A matrix as its row sees it: members in the order of the layout, and sizes from 0 to 2^31 - 2. Nothing else is known
/// before the check.
struct Packed {
  const PackedFormatRow& row;
  const Members& members;
  std::int64_t rows, cols;
};

}  // namespace sparse

/// The promises are those of PackedFormat; what is passed was checked as far as it does not concern one format.
struct PackedFormatRow {
  std::string_view name;
  const PackedLayout& layout;
  PackedBlock block;
  Dtype element;
  /// @param dense  float32 [rows, cols]
  PackedMatrix::Members (*pack)(const PackedFormatRow& row, const Tensor& dense);
  /// @throws FormatError
  void (*check)(const sparse::Packed& w);
  Tensor (*unpack)(const sparse::Packed& w);
  /// x: [batch, cols] -> y: [batch, rows], neither empty but for cols = 0. bias: [rows] or null.
  void (*linear)(const sparse::Packed& w, const float* x, std::int64_t batch, const float* bias, float* y);
  /// x: [cols, n] -> y: [rows, n], likewise, on the calling thread.
  void (*multiply)(const sparse::Packed& w, const float* x, std::int64_t n, const float* bias, float* y);
  std::span<const std::string_view> old_names = {};
};

namespace sparse {

/// The row among `formats` that has the name, or had it once; null if none has.
[[nodiscard]] const PackedFormatRow* find_row(std::span<const PackedFormat> formats, std::string_view name);

/// Products of a task that takes about 20 µs.
inline constexpr std::int64_t kTaskProducts = 1'000'000;

/// Values that count as zero: zeros and subnormal numbers. NaN is kept.
[[nodiscard]] inline bool vanishes(float v) { return std::abs(v) < std::numeric_limits<float>::min(); }

/// Checks that `member` has the element type and shape. @throws FormatError
void check_member(const Members::value_type& member, Dtype dtype, const Shape& shape);
/// Checks a run of offsets: first 0, never falling, last `count`. @throws FormatError
void check_offsets(const Tensor& offsets, std::int64_t count);
/// @throws LimitError  if `count` values cannot be counted by 32-bit offsets
void check_count(std::int64_t count);

}  // namespace sparse
}  // namespace coppice
