#include "quant/int8_linear.h"

#include <algorithm>
#include <cstring>

#include "coppice/engine/parallel.h"
#include "quant/int8_tasks.h"

namespace coppice::quant {
namespace {

using kernels::Int8Out;
using kernels::Int8Rule;
using kernels::kPanel;

constexpr std::int64_t kTaskRows = 256;  // their bytes stay in the second-level cache while weights pass

}  // namespace

Int8Panels::Int8Panels(std::int64_t n, std::int64_t k, std::span<const std::int8_t> weight,
                       std::span<const std::int32_t> zeros)
    : n_(n), k_(k), columns_(static_cast<std::size_t>(panels_of(n) * kPanel)) {
  const std::int64_t steps = (k + 3) / 4, bytes = panels_of(n) * steps * kPanel * 4;
  panels_ = aligned<std::int8_t>(static_cast<std::size_t>(bytes));
  std::memset(panels_.get(), 0, static_cast<std::size_t>(bytes));
  if (std::ranges::any_of(zeros, [](std::int32_t z) { return z != 0; })) zeros_.resize(columns_.size());
  for (std::int64_t j = 0; j < n; ++j) {
    const std::int8_t* row = weight.data() + j * k;
    std::int8_t* to = panels_.get() + j / kPanel * steps * kPanel * 4 + j % kPanel * 4;
    std::int32_t sum = 0;
    for (std::int64_t q = 0; q < k; ++q) {
      to[q / 4 * kPanel * 4 + q % 4] = row[q];
      sum += row[q];
    }
    const auto at = static_cast<std::size_t>(j);
    if (!zeros_.empty()) zeros_[at] = zeros[zeros.size() == 1 ? 0 : at];
    const std::int64_t zero = zeros_.empty() ? 0 : zeros_[at];
    columns_[at] = static_cast<std::int32_t>(sum - k * zero);
  }
}

Int8Out output_of(const StaticConstants& c) {
  Int8Out out;
  out.rule = c.rule == Requantize::fbgemm   ? Int8Rule::fbgemm
             : c.rule == Requantize::onednn ? Int8Rule::onednn
                                            : Int8Rule::qnnpack;
  out.input_zero = c.x.zero_point;
  out.scale = c.scale.data();
  out.term = c.term.data();
  out.bias = c.bias.data();
  out.output_zero = c.y.zero_point;
  out.low = c.relu ? c.y.zero_point : 0;
  return out;
}

Int8Out output_of(const DynamicConstants& c, DynamicSum sum, Affine x, bool relu) {
  Int8Out out;
  out.rule = sum == DynamicSum::fused ? Int8Rule::fused : Int8Rule::rounded;
  out.input_zero = x.zero_point;
  out.input_scale = x.scale;
  out.scale = c.scale.data();
  out.term = c.bias.data();
  out.relu = relu;
  return out;
}

std::int64_t row_stride(std::int64_t k) { return (k + 3) / 4 * 4; }

void multiply(const Int8Panels& w, std::int64_t m, const std::uint8_t* x, std::int64_t x_stride, Int8Out out, void* y) {
  const std::int64_t n = w.outputs(), k = w.inputs();
  if (m == 0 || n == 0) return;
  const Aligned<std::uint8_t> padded = whole_fours(m, k, x, x_stride);
  const kernels::Int8Kernels& kernels = kernels::int8_in_use();
  std::vector<std::int32_t> row_sums;
  if (!w.zeros().empty()) {
    row_sums.resize(static_cast<std::size_t>(m));
    kernels.row_sums(x, m, k, x_stride, row_sums.data());
  }
  out.columns = w.columns().data();
  out.zeros = w.zeros().empty() ? nullptr : w.zeros().data();
  out.y_stride = n;
  const std::int64_t strips = (m + kTaskRows - 1) / kTaskRows, panels = panels_of(n);
  const std::int64_t products = std::max<std::int64_t>(std::min(m, kTaskRows) * kPanel * k, 1);
  const std::int64_t grain = std::min(panels, std::max<std::int64_t>(kTaskProducts / products, 1));
  const std::int64_t across = (panels + grain - 1) / grain;
  parallel_for(strips * across, 1, [&](Rows tasks) {
    for (std::int64_t task = tasks.begin; task < tasks.end; ++task) {
      const std::int64_t row = task / across * kTaskRows, from = task % across * grain;
      kernels::Int8Dense p{std::min(kTaskRows, m - row), n, k, x + row * x_stride, x_stride, w.data(), out};
      p.out.y = static_cast<std::uint8_t*>(y) + row * n * size_of(out.rule);
      if (!row_sums.empty()) p.out.row_sums = row_sums.data() + row;
      kernels.dense(p, from, std::min(from + grain, panels));
    }
  });
}

}  // namespace coppice::quant
