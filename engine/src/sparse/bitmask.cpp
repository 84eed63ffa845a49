#include <bit>

#include "coppice/engine/error.h"
#include "formats.h"
#include "kernels/levels.h"

namespace coppice::sparse {

Members pack_bitmask(const Tensor& dense) {
  const std::int64_t rows = dense.size(0), cols = dense.size(1), bytes = (cols + 7) / 8;
  const float* in = dense.data<float>().data();
  Tensor mask = Tensor::empty(Shape{rows, bytes}, Dtype::u8);
  Tensor offsets = Tensor::empty(Shape{rows + 1}, Dtype::i32);
  std::uint8_t* bits = mask.mutable_data<std::uint8_t>().data();
  const std::span<std::int32_t> offset = offsets.mutable_data<std::int32_t>();
  std::int64_t count = 0;
  offset[0] = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t b = 0; b < bytes; ++b) {
      unsigned byte = 0;
      for (std::int64_t c = b * 8; c < std::min(cols, b * 8 + 8); ++c)
        byte |= static_cast<unsigned>(!vanishes(in[r * cols + c])) << (c % 8);
      bits[r * bytes + b] = static_cast<std::uint8_t>(byte);
      count += std::popcount(byte);
    }
    check_count(count);
    offset[static_cast<std::size_t>(r) + 1] = static_cast<std::int32_t>(count);
  }
  Tensor values = Tensor::empty(Shape{count});
  float* out = values.mutable_data<float>().data();
  for (std::int64_t i = 0; i < rows * cols; ++i)
    if (!vanishes(in[i])) *out++ = in[i];
  return {{"mask", mask}, {"row_offsets", offsets}, {"values", values}};
}

void check_bitmask(const Members& members, std::int64_t rows, std::int64_t cols) {
  const std::int64_t bytes = cols / 8 + (cols % 8 != 0);
  check_member(members[0], Dtype::u8, Shape{rows, bytes});
  check_member(members[1], Dtype::i32, Shape{rows + 1});
  const Tensor& values = members[2].second;
  check_member(members[2], Dtype::f32, Shape{values.dim() == 1 ? values.size(0) : 0});
  check_offsets(members[1].second, values.size(0));
  const std::uint8_t* bits = members[0].second.data<std::uint8_t>().data();
  const std::int32_t* offset = members[1].second.data<std::int32_t>().data();
  for (std::int64_t r = 0; r < rows; ++r) {
    std::int64_t count = 0;
    for (std::int64_t b = 0; b < bytes; ++b) count += std::popcount(bits[r * bytes + b]);
    if (count != offset[r + 1] - offset[r])
      throw FormatError(cat("[PackedMatrix] 'mask' row ", r, " has ", count, " bits, but 'row_offsets' gives it ",
                            offset[r + 1] - offset[r], " values"));
    if (cols % 8 != 0 && bits[r * bytes + bytes - 1] >> (cols % 8) != 0)
      throw FormatError(cat("[PackedMatrix] 'mask' row ", r, " has bits set beyond its ", cols, " columns"));
  }
}

void expand_bitmask(const Members& members, std::int64_t cols, std::int64_t begin, std::int64_t end, float* out) {
  const std::int64_t bytes = (cols + 7) / 8;
  const std::uint8_t* bits = members[0].second.data<std::uint8_t>().data();
  const std::int32_t* offset = members[1].second.data<std::int32_t>().data();
  const std::span<const float> values = members[2].second.data<float>();
  const auto expand = kernels::in_use().sparse.expand;
  for (std::int64_t r = begin; r < end; ++r, out += cols)
    expand(bits + r * bytes, values.data() + offset[r], values.data() + values.size(), cols, out);
}

Tensor unpack_bitmask(const Members& members, std::int64_t rows, std::int64_t cols) {
  Tensor dense = Tensor::empty(Shape{rows, cols});
  expand_bitmask(members, cols, 0, rows, dense.mutable_data<float>().data());
  return dense;
}

}  // namespace coppice::sparse
