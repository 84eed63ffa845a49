#include "coppice/nn/quant/layers/conv.h"

#include <cstring>

#include "coppice/engine/create.h"
#include "coppice/engine/quantized_tensor.h"
#include "coppice/nn/init.h"
#include "coppice/nn/layers/conv.h"
#include "coppice/nn/registry.h"
#include "quant/layers/checked_buffers.h"
#include "quant/layers/prepared.h"

namespace coppice::nn::quant {
namespace {

/// A number of each spatial axis; those of one axis stand behind a first of one pixel.
std::vector<std::int64_t> planar(std::vector<std::int64_t> list, int spatial, std::int64_t first) {
  if (spatial == 1) return {first, list.at(0)};
  return list;
}

/// [n, c, l] as [n, c, 1, l]; also of weights.
Tensor planar(const Tensor& t, int spatial) {
  if (spatial == 2 || t.dim() != 3) return t;
  return t.reshape(Shape{t.size(0), t.size(1), 1, t.size(2)});
}

/// A number for each axis.
std::vector<std::int64_t> spread(std::vector<std::int64_t> list, int spatial) {
  if (list.size() == 1) list.assign(static_cast<std::size_t>(spatial), list[0]);
  return list;
}

QPaddingMode mode_from(const Arguments& a) {
  const std::string word = a.text("padding_mode", "zeros");
  if (word == "zeros") return QPaddingMode::zeros;
  if (word == "reflect") return QPaddingMode::reflect;
  throw NotSupported(cat("[quantized.Conv] padding_mode must be zeros or reflect; got '", word, "'"));
}

Arguments without_mode(const Arguments& a) {
  Arguments out;
  for (const auto& [name, value] : a)
    if (name != "padding_mode" && name != "engine") out.set(name, value);
  return out;
}

}  // namespace

struct QuantizedConvBase::Cache {
  Prepared<QuantizedConv2dWeight> prepared;
};

QuantizedConvBase::~QuantizedConvBase() = default;

/// A copy prepares its own weight.
QuantizedConvBase::QuantizedConvBase(const QuantizedConvBase& other)
    : UnaryModule(other),
      AdoptsTensors(other),
      spatial_(other.spatial_),
      options_(other.options_),
      mode_(other.mode_),
      engine_(other.engine_),
      cache_(std::make_shared<Cache>()) {}

QuantizedConvBase::QuantizedConvBase(int spatial, const Tensor& weight, const Tensor& bias, const ConvOptions& options,
                                     const QuantizedOutput& out, QEngine engine)
    : spatial_(spatial),
      options_{spread(options.stride, spatial), spread(options.padding, spatial), spread(options.dilation, spatial),
               options.groups},
      engine_(engine),
      cache_(std::make_shared<Cache>()) {
  QParams::per_tensor(out.scale, out.zero_point)->check("quantized.Conv", Shape{}, Dtype::quint8);
  register_buffer("weight", weight.detach());
  if (bias.defined()) register_buffer("bias", bias.detach());
  register_buffer("scale", Tensor::of(out.scale));
  register_buffer("zero_point", Tensor::from(std::vector<std::int64_t>{out.zero_point}, Shape{}));
}

QuantizedConvBase::QuantizedConvBase(int spatial, const Arguments& a)
    : spatial_(spatial),
      mode_(mode_from(a)),
      engine_(qengine_from_name(a.text("engine", "x86"))),
      cache_(std::make_shared<Cache>()) {
  for (const auto& [name, value] : a) (void)a.find(name);  // the float layer refuses those that it does not know
  const ModulePtr layer = make_module(spatial == 1 ? "Conv1d" : "Conv2d", without_mode(a));
  options_ = dynamic_cast<const ConvNd&>(*layer).options();
  register_buffer("weight", Tensor::empty(layer->tensor("weight").shape(), Dtype::qint8, QParams::per_tensor(1, 0)));
  if (!SkipInit::active()) std::memset(tensor("weight").mutable_bytes(), 0, tensor("weight").nbytes());
  if (const Tensor bias = layer->find_tensor("bias"); bias.defined()) register_buffer("bias", bias.detach());
  register_buffer("scale", Tensor::of(1));
  register_buffer("zero_point", zeros(Shape{}, Dtype::i64));
}

Arguments QuantizedConvBase::arguments() const {
  const Tensor w = weight();
  std::vector<std::int64_t> kernel;
  for (std::int64_t i = 2; i < w.dim(); ++i) kernel.push_back(w.size(i));
  Arguments a{{"in_channels", w.size(1) * options_.groups},
              {"out_channels", w.size(0)},
              {"kernel_size", kernel},
              {"stride", options_.stride},
              {"padding", options_.padding},
              {"dilation", options_.dilation},
              {"groups", options_.groups},
              {"bias", bias().defined()}};
  if (mode_ == QPaddingMode::reflect) a.set("padding_mode", std::string("reflect"));
  a.set("engine", to_string(engine_));
  return a;
}

void QuantizedConvBase::check_adoptable(const NamedTensors& own) const {
  check_qparams_buffers(type_name(), own, Shape{}, Dtype::quint8);
  check_names(type_name(), own, {"scale", "zero_point", "weight", "bias"});
  const Tensor& weight = needed(type_name(), own, "weight", Dtype::qint8, tensor("weight").shape());
  const Tensor bias = find_tensor("bias");
  if (bias.defined() != own.contains("bias"))
    throw FormatError(cat("[", type_name(), "] ", bias.defined() ? "needs 'bias'" : "has no tensor 'bias'"));
  if (bias.defined()) (void)needed(type_name(), own, "bias", Dtype::f32, bias.shape());
  if (weight.qparams()->axis() != 0)
    throw FormatError(cat("[", type_name(), "] scales of a weight are along axis 0; got ", weight.qparams()->axis()));
}

void QuantizedConvBase::adopt(const NamedTensors& own) {
  check_adoptable(own);
  show_buffers(*this, own);
}

Tensor QuantizedConvBase::forward(const Tensor& x) const {
  const Tensor w = weight(), b = bias();
  const auto prepared = cache_->prepared.of(w, b, [&] {
    const ConvOptions options{planar(options_.stride, spatial_, 1), planar(options_.padding, spatial_, 0),
                              planar(options_.dilation, spatial_, 1), options_.groups};
    return QuantizedConv2dWeight(planar(w, spatial_), b, options, mode_);
  });
  if (spatial_ == 1 && x.dim() != 3) throw ShapeError(cat("[quantized.Conv1d] needs x: [n, in, l]; got ", x.shape()));
  const Tensor y = prepared.conv2d(planar(x, spatial_), {scale(), zero_point(), with_relu()}, engine_);
  return spatial_ == 1 ? y.reshape(Shape{y.size(0), y.size(1), y.size(3)}) : y;
}

QuantizedConv1d::QuantizedConv1d(const Tensor& weight, const Tensor& bias, const ConvOptions& options,
                                 const QuantizedOutput& out, QEngine engine)
    : Implements(1, weight, bias, options, out, engine) {}
QuantizedConv1d::QuantizedConv1d(const Arguments& a) : Implements(1, a) {}

QuantizedConv2d::QuantizedConv2d(const Tensor& weight, const Tensor& bias, const ConvOptions& options,
                                 const QuantizedOutput& out, QEngine engine)
    : Implements(2, weight, bias, options, out, engine) {}
QuantizedConv2d::QuantizedConv2d(const Arguments& a) : Implements(2, a) {}

}  // namespace coppice::nn::quant
