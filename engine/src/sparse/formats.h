#pragma once
/// Building, checking and undoing each packed format. Private to packed_matrix.cpp and its neighbours.

#include <cmath>
#include <limits>
#include <span>

#include "coppice/engine/sparse/packed_matrix.h"
#include "kernels/sparse/sparse.h"

namespace coppice::sparse {

using Members = PackedMatrix::Members;

/// Values that count as zero: zeros and subnormal numbers. NaN is kept.
[[nodiscard]] inline bool vanishes(float v) { return std::abs(v) < std::numeric_limits<float>::min(); }

/// 1 for csr, R for blockR, 0 for the formats without columns.
[[nodiscard]] std::int64_t block_height(PackedFormat format);

/// Columns up to this many are stored in 16 bits.
inline constexpr std::int64_t kShortColumns = 32768;

[[nodiscard]] Members pack_blocks(const Tensor& dense, std::int64_t height);
[[nodiscard]] Tensor unpack_blocks(const kernels::PackedView& view);
/// @throws FormatError
void check_blocks(const Members& members, std::int64_t rows, std::int64_t cols, std::int64_t height);
/// `members` must have passed the check.
[[nodiscard]] kernels::PackedView view_blocks(const Members& members, std::int64_t rows, std::int64_t cols,
                                              std::int64_t height);

[[nodiscard]] Members pack_bitmask(const Tensor& dense);
[[nodiscard]] Tensor unpack_bitmask(const Members& members, std::int64_t rows, std::int64_t cols);
/// @throws FormatError
void check_bitmask(const Members& members, std::int64_t rows, std::int64_t cols);
/// Writes rows begin .. end as dense numbers, `cols` apart.
void expand_bitmask(const Members& members, std::int64_t cols, std::int64_t begin, std::int64_t end, float* out);

/// Checks that `member` has the element type and shape. @throws FormatError
void check_member(const std::pair<std::string, Tensor>& member, Dtype dtype, const Shape& shape);
/// Checks a run of offsets: first 0, never falling, last `count`. @throws FormatError
void check_offsets(const Tensor& offsets, std::int64_t count);
/// @throws LimitError  if `count` values cannot be counted by 32-bit offsets
void check_count(std::int64_t count);

}  // namespace coppice::sparse
