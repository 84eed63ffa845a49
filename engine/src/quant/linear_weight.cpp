#include <algorithm>
#include <array>
#include <optional>

#include "coppice/engine/ops/fake_quantize.h"
#include "coppice/engine/ops/op.h"
#include "coppice/engine/quantized_weight.h"
#include "quant/int8_blocks.h"
#include "quant/quantize.h"
#include "quant/weight_checks.h"

namespace coppice {
namespace {

using quant::Int8Matrix;
using quant::Int8Panels;

// Not in the table: a prepared weight is no tensor.
constexpr OpRow kLinearRow{
    .name = "quantized_linear", .inputs = "input weight [bias]", .least_inputs = 2, .most_inputs = 3};
constexpr OpRow kDynamicRow{
    .name = "quantized_linear_dynamic", .inputs = "input weight [bias]", .least_inputs = 2, .most_inputs = 3};

/// A block that weights may be stored in, and what a stored number costs in it beside one of a dense weight.
struct Block {
  std::int64_t height;
  std::string_view name;
  double cost;
};
constexpr std::array<Block, 4> kBlocks{{{16, "16x4", 1.2}, {8, "8x4", 1.2}, {4, "4x4", 1.3}, {1, "1x4", 2.5}}};

/// Share of the blocks height x 4 that hold a number other than 0.
double density(std::span<const std::int8_t> w, std::int64_t n, std::int64_t k, std::int64_t height) {
  const std::int64_t across = (k + 3) / 4, down = (n + height - 1) / height;
  std::int64_t used = 0;
  std::vector<char> row(static_cast<std::size_t>(across));
  for (std::int64_t b = 0; b < down; ++b) {
    std::ranges::fill(row, char{0});
    for (std::int64_t r = b * height; r < std::min(n, (b + 1) * height); ++r)
      for (std::int64_t c = 0; c < k; ++c)
        if (w[static_cast<std::size_t>(r * k + c)] != 0) row[static_cast<std::size_t>(c / 4)] = 1;
    used += std::ranges::count(row, char{1});
  }
  return across * down == 0 ? 1 : static_cast<double>(used) / static_cast<double>(across * down);
}

/// The block in which the weight is cheapest; none if that is dense.
const Block* cheapest(const Tensor& weight) {
  const Block* best = nullptr;
  double least = 0.8;  // of dense: below it, not to lose where the estimate is off
  for (const Block& block : kBlocks) {
    const double cost = block.cost * density(quant::integers_of(weight), weight.size(0), weight.size(1), block.height);
    if (cost < least) least = cost, best = &block;
  }
  return best;
}

/// Rows of x and the shape of the result.
struct Rows2d {
  std::int64_t rows = 1;
  Shape result;
};
Rows2d rows_of(const char* op, const Tensor& x, const Tensor& weight, std::int64_t least_rank) {
  if (x.dim() < least_rank || x.size(-1) != weight.size(1))
    throw ShapeError(cat("[", op, "] needs x: [", least_rank == 2 ? "n, " : "", "..., ", weight.size(1), "]; got ",
                         x.shape(), " for a weight ", weight.shape()));
  Rows2d out;
  std::vector<std::int64_t> sizes(x.shape().begin(), x.shape().end());
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i) out.rows *= sizes[i];
  sizes.back() = weight.size(0);
  out.result = Shape(std::move(sizes));
  return out;
}

}  // namespace

struct QuantizedLinearWeight::Held {
  Tensor weight, bias;
  std::string_view storage = "dense";
  std::optional<Int8Matrix> blocks;
  std::optional<Int8Panels> panels;
  quant::DynamicConstants dynamic;

  Held(const Tensor& w, const Tensor& b)
      : weight(w.detach()),
        bias(b.defined() ? b.detach() : Tensor()),
        dynamic(w.size(0), w.qparams()->scales(), quant::floats_of(b)) {
    const auto zeros = quant::zeros_of(w);
    const Block* block = zeros.empty() ? cheapest(w) : nullptr;
    if (block != nullptr) {
      storage = block->name;
      blocks.emplace(w.size(0), w.size(1), block->height, quant::integers_of(w));
    } else {
      panels.emplace(w.size(0), w.size(1), quant::integers_of(w), zeros);
    }
  }

  void multiply(std::int64_t m, const std::uint8_t* x, std::int64_t stride, const kernels::Int8Out& out,
                void* y) const {
    if (blocks)
      quant::multiply(*blocks, m, x, stride, out, y);
    else
      quant::multiply(*panels, m, x, stride, out, y);
  }
};

void QuantizedLinearWeight::check(const Tensor& weight, const Tensor& bias) {
  quant::check_weight("quantized_linear", weight, bias, 2);
}

QuantizedLinearWeight::QuantizedLinearWeight(const Tensor& weight, const Tensor& bias) {
  check(weight, bias);
  held_ = std::make_shared<const Held>(weight, bias);
}

const Tensor& QuantizedLinearWeight::weight() const { return held_->weight; }
const Tensor& QuantizedLinearWeight::bias() const { return held_->bias; }
std::string_view QuantizedLinearWeight::storage() const { return held_->storage; }

Tensor QuantizedLinearWeight::linear(const Tensor& x, const QuantizedOutput& out, QEngine engine) const {
  const Op op(kLinearRow);
  quant::check_input("quantized_linear", x);
  const auto [rows, shape] = rows_of("quantized_linear", x, held_->weight, 2);
  Tensor y = Tensor::empty(shape, Dtype::quint8, QParams::per_tensor(out.scale, out.zero_point));
  const auto rule = engine == QEngine::qnnpack  ? quant::Requantize::qnnpack
                    : engine == QEngine::onednn ? quant::Requantize::onednn
                                                : quant::Requantize::fbgemm;
  const quant::StaticConstants constants = quant::constants_for(held_->weight, held_->bias, x, out, rule);
  held_->multiply(rows, reinterpret_cast<const std::uint8_t*>(x.bytes()), x.size(-1), output_of(constants),
                  y.mutable_bytes());
  return op.result(std::move(y), {x, held_->weight, held_->bias});
}

Tensor QuantizedLinearWeight::linear_dynamic(const Tensor& x, QEngine engine, bool relu) const {
  const Op op(kDynamicRow);
  constexpr const char* kName = "quantized_linear_dynamic";
  if (x.dtype() != Dtype::f32) throw DtypeError(cat("[", kName, "] takes float32 tensors; got ", x.dtype()));
  const auto [rows, shape] = rows_of(kName, x, held_->weight, 1);
  Tensor y = Tensor::empty(shape);
  if (y.numel() == 0) return op.result(std::move(y), {x, held_->weight, held_->bias});
  const auto values = x.data<float>();
  kernels::FloatRange range = quant::range_of(values);
  if (range.min > range.max) range = {0, 0};  // no number at all
  const auto [scale, zero] = choose_qparams(range.min, range.max, 0, 127);
  const std::int64_t k = x.size(-1), stride = quant::row_stride(k);
  const auto integers = quant::aligned<std::uint8_t>(static_cast<std::size_t>(rows * stride));
  const auto z = static_cast<std::int32_t>(zero);
  quant::quantize_rows(values.data(), rows, k, {.inverse = 1.0f / scale, .zero = z}, integers.get());
  const auto sum = engine == QEngine::qnnpack ? quant::DynamicSum::rounded : quant::DynamicSum::fused;
  held_->multiply(rows, integers.get(), stride, output_of(held_->dynamic, sum, {scale, z}, relu), y.mutable_bytes());
  return op.result(std::move(y), {x, held_->weight, held_->bias});
}

}  // namespace coppice
