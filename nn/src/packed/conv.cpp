#include "coppice/nn/packed/conv.h"

#include <algorithm>

#include "coppice/engine/ops/packed.h"

namespace coppice::nn {
namespace {

// A file of a few bytes may claim any size. These keep the product of channels and taps a number.
constexpr std::int64_t kMostChannels = 1 << 30, kMostTaps = 1 << 15;

bool sizes_fit(std::int64_t out, std::int64_t in, std::int64_t kh, std::int64_t kw) {
  return std::min({out, in, kh, kw}) >= 1 && in <= kMostChannels && std::max(kh, kw) <= kMostTaps;
}

}  // namespace

bool PackedConv2d::takes(const Shape& weight, const ConvOptions& options) {
  return weight.rank() == 4 && options.groups == 1 && sizes_fit(weight[0], weight[1], weight[2], weight[3]);
}

PackedConv2d::PackedConv2d(const Arguments& a)
    : in_channels_(a.integer("in_channels")), out_channels_(a.integer("out_channels")) {
  const std::vector<std::int64_t> kernel = a.integers("kernel_size");
  if (kernel.empty() || kernel.size() > 2 || !sizes_fit(out_channels_, in_channels_, kernel.front(), kernel.back()))
    throw ValueError(cat("[PackedConv2d] needs positive channels and a kernel of 1 or 2 positive numbers; got ",
                         in_channels_, ", ", out_channels_, " and ", kernel.size(), " numbers"));
  kernel_ = {kernel.front(), kernel.back()};
  options_.stride = a.integers("stride", {1});
  options_.padding = a.integers("padding", {0});
  options_.dilation = a.integers("dilation", {1});
  expect(packed_format_from(a), out_channels_, in_channels_ * kernel_[0] * kernel_[1], a.boolean("bias", true));
}

std::shared_ptr<PackedConv2d> PackedConv2d::from_dense(const Tensor& weight, const Tensor& bias,
                                                       const ConvOptions& options, PackedFormat format) {
  if (weight.dim() != 4) throw ShapeError(cat("[PackedConv2d] weight must be [out, in, kh, kw]; got ", weight.shape()));
  if (options.groups != 1) throw NotSupported(cat("[PackedConv2d] packs one group; got ", options.groups));
  auto layer = std::make_shared<PackedConv2d>(
      Arguments{{"format", to_string(format)},
                {"in_channels", weight.size(1)},
                {"out_channels", weight.size(0)},
                {"kernel_size", std::vector<std::int64_t>{weight.size(2), weight.size(3)}},
                {"stride", options.stride},
                {"padding", options.padding},
                {"dilation", options.dilation},
                {"bias", bias.defined()}});
  layer->hold(PackedMatrix::pack(weight.detach().reshape({weight.size(0), -1}), format), bias);
  return layer;
}

Arguments PackedConv2d::arguments() const {
  return {{"in_channels", in_channels_},
          {"out_channels", out_channels_},
          {"kernel_size", std::vector<std::int64_t>{kernel_[0], kernel_[1]}},
          {"stride", options_.stride},
          {"padding", options_.padding},
          {"dilation", options_.dilation},
          {"bias", find_tensor("bias").defined()},
          {"format", to_string(weight().format())}};
}

Tensor PackedConv2d::unpacked() const {
  return weight().unpack().reshape({out_channels_, in_channels_, kernel_[0], kernel_[1]});
}

Tensor PackedConv2d::forward(const Tensor& x) const {
  return infer(x, [&](const PackedMatrix& w, const Tensor& bias) { return conv2d(x, w, bias, kernel_, options_); });
}

}  // namespace coppice::nn
