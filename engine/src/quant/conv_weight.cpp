#include <optional>

#include "coppice/engine/ops/op.h"
#include "coppice/engine/quantized_weight.h"
#include "quant/int8_conv.h"
#include "quant/weight_checks.h"

namespace coppice {
namespace {

constexpr OpRow kConv2dRow{
    .name = "quantized_conv2d", .inputs = "input weight [bias]", .least_inputs = 2, .most_inputs = 3};

std::array<std::int64_t, 2> last_two(const std::array<std::int64_t, 3>& three) { return {three[1], three[2]}; }

quant::ConvShape shape_of(const ConvGeometry& g, QPaddingMode mode) {
  return {.in_channels = g.in_channels,
          .out_channels = g.out_channels,
          .groups = g.groups,
          .input = last_two(g.input),
          .kernel = last_two(g.kernel),
          .stride = last_two(g.stride),
          .padding = last_two(g.padding),
          .dilation = last_two(g.dilation),
          .mode = mode == QPaddingMode::zeros ? quant::Padding::zeros : quant::Padding::reflect};
}

}  // namespace

struct QuantizedConv2dWeight::Held {
  Tensor weight, bias;
  ConvOptions options;
  QPaddingMode mode;
  quant::Int8ConvWeights packed;

  Held(const Tensor& w, const Tensor& b, const ConvOptions& o, QPaddingMode m)
      : weight(w.detach()),
        bias(b.defined() ? b.detach() : Tensor()),
        options(o),
        mode(m),
        packed(kernel_of(w, o), quant::integers_of(w), quant::zeros_of(w)) {}

  static quant::ConvShape kernel_of(const Tensor& w, const ConvOptions& o) {
    return {.in_channels = w.size(1) * o.groups,
            .out_channels = w.size(0),
            .groups = o.groups,
            .kernel = {w.size(2), w.size(3)}};
  }
};

namespace {

/// What conv_geometry() asks of these numbers, before there is an input.
void check_options(const char* op, const ConvOptions& o) {
  const auto check = [op](const char* name, const std::vector<std::int64_t>& list, std::int64_t least) {
    if (list.size() != 1 && list.size() != 2)
      throw ValueError(cat("[", op, "] ", name, " needs 1 or 2 numbers; got ", list.size()));
    for (const std::int64_t v : list)
      if (v < least || v > INT32_MAX)
        throw ValueError(cat("[", op, "] ", name, " must be in ", least, "..", INT32_MAX, "; got ", v));
  };
  check("stride", o.stride, 1);
  check("padding", o.padding, 0);
  check("dilation", o.dilation, 1);
}

}  // namespace

QuantizedConv2dWeight::QuantizedConv2dWeight(const Tensor& weight, const Tensor& bias, const ConvOptions& options,
                                             QPaddingMode mode) {
  constexpr const char* kName = "quantized_conv2d";
  quant::check_weight(kName, weight, bias, 4);
  if (options.groups < 1 || weight.size(0) % options.groups != 0)
    throw ValueError(cat("[", kName, "] groups must divide ", weight.size(0), " outputs; got ", options.groups));
  check_options(kName, options);
  held_ = std::make_shared<const Held>(weight, bias, options, mode);
}

const Tensor& QuantizedConv2dWeight::weight() const { return held_->weight; }
const Tensor& QuantizedConv2dWeight::bias() const { return held_->bias; }

Tensor QuantizedConv2dWeight::conv2d(const Tensor& x, const QuantizedOutput& out, QEngine engine) const {
  const Op op(kConv2dRow);
  constexpr const char* kName = "quantized_conv2d";
  quant::check_input(kName, x);
  const ConvGeometry g = conv_geometry(kName, 2, x.shape(), held_->weight.shape(), held_->options);
  if (held_->mode == QPaddingMode::reflect && (g.padding[1] >= g.input[1] || g.padding[2] >= g.input[2]))
    throw ShapeError(cat("[", kName, "] reflection needs padding below the size of x; got ", x.shape()));
  Tensor y = Tensor::empty(conv_result_shape(g, 2), Dtype::quint8, QParams::per_tensor(out.scale, out.zero_point));
  const auto rule = engine == QEngine::qnnpack  ? quant::Requantize::qnnpack
                    : engine == QEngine::fbgemm ? quant::Requantize::fbgemm
                                                : quant::Requantize::onednn;
  const quant::StaticConstants constants = quant::constants_for(held_->weight, held_->bias, x, out, rule);
  if (y.numel() > 0)
    quant::conv2d(shape_of(g, held_->mode), held_->packed, constants, g.batch,
                  reinterpret_cast<const std::uint8_t*>(x.bytes()), reinterpret_cast<std::uint8_t*>(y.mutable_bytes()));
  return op.result(std::move(y), {x, held_->weight, held_->bias});
}

}  // namespace coppice
