#include "coppice/nn/layers/conv.h"

#include "coppice/engine/checked.h"
#include "coppice/nn/init.h"
#include "layers/common_type.h"

namespace coppice::nn {
namespace {

std::vector<std::int64_t> per_axis(std::string_view type, const char* name, std::vector<std::int64_t> list, int spatial,
                                   std::int64_t least) {
  if (list.size() == 1) list.assign(static_cast<std::size_t>(spatial), list[0]);
  if (list.size() != static_cast<std::size_t>(spatial))
    throw ValueError(cat("[", type, "] ", name, " needs 1 or ", spatial, " numbers; got ", list.size()));
  for (const std::int64_t v : list)
    if (v < least || v > INT32_MAX)
      throw ValueError(cat("[", type, "] ", name, " must be in ", least, "..", INT32_MAX, "; got ", v));
  return list;
}

}  // namespace

ConvNd::ConvNd(int spatial, std::string_view type, const ConvSettings& s) : spatial_(spatial) {
  if (s.options.groups < 1 || s.in_channels < 1 || s.out_channels < 1 || s.in_channels % s.options.groups != 0 ||
      s.out_channels % s.options.groups != 0)
    throw ValueError(cat("[", type, "] channels must be at least 1 and divisible by groups; got in ", s.in_channels,
                         ", out ", s.out_channels, ", groups ", s.options.groups));
  options_.stride = per_axis(type, "stride", s.options.stride, spatial, 1);
  options_.padding = per_axis(type, "padding", s.options.padding, spatial, 0);
  options_.dilation = per_axis(type, "dilation", s.options.dilation, spatial, 1);
  options_.groups = s.options.groups;
  depthwise_ = s.options.groups > 1 && s.options.groups == s.in_channels && s.options.groups == s.out_channels;
  std::vector<std::int64_t> sizes{s.out_channels, s.in_channels / s.options.groups};
  for (const std::int64_t k : per_axis(type, "kernel_size", s.kernel_size, spatial, 1)) sizes.push_back(k);
  const Shape shape(sizes);
  const std::int64_t fan_in = shape.numel() / s.out_channels;
  register_parameter("weight", uniform_fan(shape, fan_in));
  register_parameter("bias", s.bias ? uniform_fan({s.out_channels}, fan_in) : Tensor());
}

ConvSettings ConvNd::settings_from(const Arguments& a) {
  if (const std::string mode = a.text("padding_mode", "zeros"); mode != "zeros")
    throw NotSupported(cat("[Conv] padding_mode ", quote(mode), "; only 'zeros' is built"));
  ConvSettings s;
  s.in_channels = a.integer("in_channels");
  s.out_channels = a.integer("out_channels");
  s.kernel_size = a.integers("kernel_size");
  s.options.stride = a.integers("stride", {1});
  s.options.padding = a.integers("padding", {0});
  s.options.dilation = a.integers("dilation", {1});
  s.options.groups = a.integer("groups", 1);
  s.bias = a.boolean("bias", true);
  return s;
}

std::int64_t ConvNd::groups_in(const Tensor& weight) const {
  return depthwise_ && weight.dim() == spatial_ + 2 && weight.size(1) == 1 && weight.size(0) < options_.groups
             ? weight.size(0)
             : options_.groups;
}

ConvOptions ConvNd::options() const {
  ConvOptions now = options_;
  now.groups = groups_in(tensor("weight"));
  return now;
}

Arguments ConvNd::arguments() const {
  const Tensor weight = tensor("weight");
  if (weight.dim() != spatial_ + 2)  // an unsafe parametrization may give anything
    throw StateError(cat("[", type_name(), "] weight must have ", spatial_ + 2, " axes; got shape ", weight.shape()));
  const std::int64_t groups = groups_in(weight);
  const auto kernel = weight.shape().sizes().subspan(2);
  return {{"in_channels", weight.size(1) * groups},
          {"out_channels", weight.size(0)},
          {"kernel_size", std::vector<std::int64_t>(kernel.begin(), kernel.end())},
          {"stride", options_.stride},
          {"padding", options_.padding},
          {"dilation", options_.dilation},
          {"groups", groups},
          {"bias", find_tensor("bias").defined()}};
}

Tensor ConvNd::forward(const Tensor& given) const {
  Tensor weight = tensor("weight"), bias = find_tensor("bias");
  const auto type = common_type({given, weight, bias});
  const Tensor x = in_type(given, type);
  weight = in_type(weight, type);
  bias = in_type(bias, type);
  const std::int64_t groups = groups_in(weight);
  if (weight.dim() > 0 && groups > 1 && weight.size(0) % groups != 0)
    throw ShapeError(cat("[", type_name(), "] weight ", weight.shape(), " has ", weight.size(0), " outputs, which ",
                         groups, " groups do not divide; remove as many from each group"));
  ConvOptions changed;
  if (groups != options_.groups) changed = options_, changed.groups = groups;
  const ConvOptions& now = groups == options_.groups ? options_ : changed;
  switch (spatial_) {
    case 1: return conv1d(x, weight, bias, now);
    case 2: return conv2d(x, weight, bias, now);
    default: return conv3d(x, weight, bias, now);
  }
}

Conv1d::Conv1d(const ConvSettings& s) : Implements(1, kType, s) {}
Conv2d::Conv2d(const ConvSettings& s) : Implements(2, kType, s) {}
Conv3d::Conv3d(const ConvSettings& s) : Implements(3, kType, s) {}

Conv2d::Conv2d(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride, std::int64_t padding)
    : Conv2d(ConvSettings{in, out, {kernel}, {{stride}, {padding}, {1}, 1}, true}) {}

}  // namespace coppice::nn
