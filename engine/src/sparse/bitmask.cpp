// bitmask: a bit per number, and the values of the ones. Members:
//   "mask" u8 [rows, ceil(cols / 8)], lowest bit first; bits beyond the last column are 0
//   "row_offsets" i32 [rows + 1], into "values"
//   "values" f32 [n]
#include <bit>
#include <vector>

#include "../gemm.h"
#include "coppice/engine/error.h"
#include "coppice/engine/parallel.h"
#include "format.h"
#include "kernels/levels.h"

namespace coppice::sparse {
namespace {

constexpr std::string_view kMembers[] = {"mask", "row_offsets", "values"};
constexpr PackedLayout kLayout{"bitmask", kMembers};

constexpr std::int64_t kPanel = 16;  // rows that are expanded at a time

Members pack(const PackedFormatRow&, const Tensor& dense) {
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

void check(const Packed& w) {
  const auto& [row, members, rows, cols] = w;
  const std::int64_t bytes = cols / 8 + (cols % 8 != 0);
  check_member(members[0], Dtype::u8, Shape{rows, bytes});
  check_member(members[1], Dtype::i32, Shape{rows + 1});
  const Tensor& values = members[2].second;
  check_member(members[2], row.element, Shape{values.dim() == 1 ? values.size(0) : 0});
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

/// Writes rows begin .. end as dense numbers.
void expand_rows(const Packed& w, std::int64_t begin, std::int64_t end, float* out) {
  const std::int64_t cols = w.cols, bytes = (cols + 7) / 8;
  const std::uint8_t* bits = w.members[0].second.data<std::uint8_t>().data();
  const std::int32_t* offset = w.members[1].second.data<std::int32_t>().data();
  const std::span<const float> values = w.members[2].second.data<float>();
  const auto expand = kernels::in_use().sparse.expand;
  for (std::int64_t r = begin; r < end; ++r, out += cols)
    expand(bits + r * bytes, values.data() + offset[r], values.data() + values.size(), cols, out);
}

Tensor unpack(const Packed& w) {
  Tensor dense = Tensor::empty(Shape{w.rows, w.cols});
  expand_rows(w, 0, w.rows, dense.mutable_data<float>().data());
  return dense;
}

/// This thread's memory for a panel; kept, so that repeated inference allocates nothing.
float* panel_memory(const Packed& w) {
  thread_local std::vector<float> memory;
  const auto n = static_cast<std::size_t>(kPanel * w.cols);
  if (memory.size() < n) memory.resize(n);
  return memory.data();
}

void linear(const Packed& w, const float* x, std::int64_t batch, const float* bias, float* y) {
  const kernels::Gemm<float> product{
      .m = batch, .k = w.cols, .a = x, .lda = w.cols, .ldb = w.cols, .trans_b = true, .ldc = w.rows};
  const std::int64_t per_panel = kPanel * w.cols * batch;
  const std::int64_t panels = std::max<std::int64_t>(kTaskProducts / std::max<std::int64_t>(per_panel, 1), 1);
  parallel_for(w.rows, panels * kPanel, [&](Rows range) {
    for (std::int64_t r = range.begin; r < range.end; r += kPanel) {
      const std::int64_t end = std::min(r + kPanel, range.end);
      float* rows = panel_memory(w);
      expand_rows(w, r, end, rows);
      kernels::Gemm<float> part = product;
      part.n = end - r;
      part.b = rows;
      part.c = y + r;
      if (bias) part.row_bias = bias + r;
      kernels::gemm_serial(part);
    }
  });
}

void multiply(const Packed& w, const float* x, std::int64_t n, const float* bias, float* y) {
  for (std::int64_t r = 0; r < w.rows; r += kPanel) {
    const std::int64_t end = std::min(r + kPanel, w.rows);
    float* rows = panel_memory(w);
    expand_rows(w, r, end, rows);
    kernels::gemm_serial(kernels::Gemm<float>{.m = end - r,
                                              .n = n,
                                              .k = w.cols,
                                              .a = rows,
                                              .lda = w.cols,
                                              .b = x,
                                              .ldb = n,
                                              .c = y + r * n,
                                              .ldc = n,
                                              .col_bias = bias ? bias + r : nullptr});
  }
}

}  // namespace

extern constinit const PackedFormatRow kBitmask{"bitmask", kLayout, {1, 1}, Dtype::f32, pack,
                                                check,     unpack,  linear, multiply};

}  // namespace coppice::sparse
