#include "blocks.h"

#include <algorithm>
#include <vector>

#include "block_view.h"
#include "coppice/engine/error.h"

namespace coppice::sparse {
namespace {

constexpr std::string_view kMembers[] = {"row_offsets", "columns", "values"};
constexpr std::int64_t kShortColumns = 32768;  // up to this many are stored in 16 bits

template <class Index>
Members pack_with(const Tensor& dense, std::int64_t height) {
  const std::int64_t rows = dense.size(0), cols = dense.size(1), groups = (rows + height - 1) / height;
  const std::span<const float> in = dense.data<float>();
  const auto value = [&](std::int64_t r, std::int64_t c) {
    const float v = r < rows ? in[static_cast<std::size_t>(r * cols + c)] : 0.0f;
    return vanishes(v) ? 0.0f : v;
  };
  // Which columns a group keeps; counted first, so that the members have their final size.
  std::vector<std::uint8_t> used(static_cast<std::size_t>(cols));
  const auto find_used = [&](std::int64_t g) {
    std::fill(used.begin(), used.end(), std::uint8_t{0});
    for (std::int64_t r = g * height; r < std::min((g + 1) * height, rows); ++r)
      for (std::int64_t c = 0; c < cols; ++c) used[static_cast<std::size_t>(c)] |= value(r, c) != 0;
  };
  Tensor offsets = Tensor::empty(Shape{groups + 1}, Dtype::i32);
  const std::span<std::int32_t> offset = offsets.mutable_data<std::int32_t>();
  std::int64_t count = 0;
  offset[0] = 0;
  for (std::int64_t g = 0; g < groups; ++g) {
    find_used(g);
    count += std::count(used.begin(), used.end(), std::uint8_t{1});
    check_count(count * height);
    offset[static_cast<std::size_t>(g) + 1] = static_cast<std::int32_t>(count);
  }
  Tensor columns = Tensor::empty(Shape{count}, dtype_of<Index>);
  Tensor values = Tensor::empty(height == 1 ? Shape{count} : Shape{count, height});
  Index* column = columns.mutable_data<Index>().data();
  float* out = values.mutable_data<float>().data();
  for (std::int64_t g = 0; g < groups; ++g) {
    find_used(g);
    for (std::int64_t c = 0; c < cols; ++c) {
      if (!used[static_cast<std::size_t>(c)]) continue;
      *column++ = static_cast<Index>(c);
      for (std::int64_t r = 0; r < height; ++r) *out++ = value(g * height + r, c);
    }
  }
  return {{"row_offsets", offsets}, {"columns", columns}, {"values", values}};
}

template <class Index>
void check_columns(const Tensor& offsets, const Tensor& columns, std::int64_t cols) {
  const std::span<const std::int32_t> offset = offsets.data<std::int32_t>();
  const std::span<const Index> column = columns.data<Index>();
  for (std::size_t g = 0; g + 1 < offset.size(); ++g) {
    std::int64_t last = -1;
    for (auto k = static_cast<std::size_t>(offset[g]); k < static_cast<std::size_t>(offset[g + 1]); ++k) {
      const std::int64_t c = column[k];
      if (c < 0 || c >= cols)
        throw FormatError(cat("[PackedMatrix] 'columns' must be in 0..", cols - 1, "; element ", k, " is ", c));
      if (c <= last)
        throw FormatError(
            cat("[PackedMatrix] 'columns' must rise within a row; element ", k, " is ", c, " after ", last));
      last = c;
    }
  }
}

}  // namespace

extern constinit const PackedLayout kBlocks{"blocks", kMembers};

Members pack_blocks(const PackedFormatRow& row, const Tensor& dense) {
  return dense.size(1) <= kShortColumns ? pack_with<std::int16_t>(dense, row.block.rows)
                                        : pack_with<std::int32_t>(dense, row.block.rows);
}

Tensor unpack_blocks(const Packed& w) {
  const kernels::PackedView view = view_blocks(w);
  Tensor dense = Tensor::empty(Shape{view.rows, view.cols});
  const std::span<float> out = dense.mutable_data<float>();
  std::fill(out.begin(), out.end(), 0.0f);
  for (std::int64_t g = 0; g * view.height < view.rows; ++g)
    for (std::int64_t k = view.offsets[g]; k < view.offsets[g + 1]; ++k) {
      const std::int64_t c = view.columns16 ? view.columns16[k] : view.columns32[k];
      for (std::int64_t r = 0; r < view.height && g * view.height + r < view.rows; ++r)
        out[static_cast<std::size_t>((g * view.height + r) * view.cols + c)] = view.values[k * view.height + r];
    }
  return dense;
}

void check_blocks(const Packed& w) {
  const auto& [row, members, rows, cols] = w;
  const std::int64_t height = row.block.rows, groups = rows / height + (rows % height != 0);
  const Tensor &offsets = members[0].second, &columns = members[1].second, &values = members[2].second;
  check_member(members[0], Dtype::i32, Shape{groups + 1});
  const bool is_short = columns.dtype() == Dtype::i16 && cols <= kShortColumns;
  const std::int64_t count = columns.dim() == 1 ? columns.size(0) : -1;
  check_member(members[1], is_short ? Dtype::i16 : Dtype::i32, Shape{std::max<std::int64_t>(count, 0)});
  check_member(members[2], row.element, height == 1 ? Shape{count} : Shape{count, height});
  check_offsets(offsets, count);
  if (is_short)
    check_columns<std::int16_t>(offsets, columns, cols);
  else
    check_columns<std::int32_t>(offsets, columns, cols);
  if (rows % height == 0) return;
  const std::span<const std::int32_t> offset = offsets.data<std::int32_t>();
  const std::span<const float> value = values.data<float>();
  for (std::int64_t k = offset[offset.size() - 2]; k < count; ++k)
    for (std::int64_t r = rows % height; r < height; ++r)
      if (const float v = value[static_cast<std::size_t>(k * height + r)]; v != 0)
        throw FormatError(cat("[PackedMatrix] 'values' of rows beyond the last must be 0; block ", k, " has ", v));
}

kernels::PackedView view_blocks(const Packed& w) {
  const Tensor& columns = w.members[1].second;
  const bool is_short = columns.dtype() == Dtype::i16;
  return {.rows = w.rows,
          .cols = w.cols,
          .height = w.row.block.rows,
          .offsets = w.members[0].second.data<std::int32_t>().data(),
          .columns16 = is_short ? columns.data<std::int16_t>().data() : nullptr,
          .columns32 = is_short ? nullptr : columns.data<std::int32_t>().data(),
          .values = w.members[2].second.data<float>().data()};
}

}  // namespace coppice::sparse
