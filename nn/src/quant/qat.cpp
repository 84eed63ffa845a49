#include "coppice/nn/quant/qat.h"

#include "coppice/engine/error.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/linalg.h"
#include "coppice/nn/init.h"
#include "coppice/nn/layers/norm.h"
#include "coppice/nn/registry.h"
#include "coppice/nn/slots.h"
#include "quant/tree.h"

namespace coppice::nn::quant {
namespace {

/// Gives the layer the fake quantiser of its weight.
void add_fake_quant(Module& layer, const QConfigPtr& qconfig) {
  if (qconfig == nullptr) throw ValueError(cat("[", layer.type_name(), "] needs a qconfig"));
  layer.add_module(kWeightFakeQuant, qconfig->weight());
}

Tensor faked(const Module& layer, const Tensor& weight) {
  (void)weight_fake_quant_of(layer);
  return (*layer.child(kWeightFakeQuant))(weight);
}

/// [c] as the channels of [n, c, h, w], or of a weight [c, in, kh, kw].
Tensor channels(const Tensor& t, std::size_t axis) {
  std::vector<std::int64_t> sizes(4, 1);
  sizes[axis] = t.numel();
  return t.reshape(Shape(std::move(sizes)));
}

}  // namespace

const ObserverBase& weight_fake_quant_of(const Module& qat) {
  const ModulePtr* child = qat.children().find(kWeightFakeQuant);
  const auto* found = child == nullptr ? nullptr : dynamic_cast<const ObserverBase*>(child->get());
  if (found == nullptr) throw StateError(cat("[", qat.type_name(), "] has no weight_fake_quant"));
  return *found;
}

QatLinearBase::QatLinearBase(std::int64_t in, std::int64_t out, bool bias) {
  if (in < 0 || out < 0)
    throw ValueError(cat("[qat.Linear] in_features and out_features must be at least 0; got ", in, " and ", out));
  register_parameter("weight", uniform_fan({out, in}, in));
  register_parameter("bias", bias ? uniform_fan({out}, in) : Tensor());
}

QatLinearBase::QatLinearBase(const Arguments& a)
    : QatLinearBase(a.integer("in_features"), a.integer("out_features"), a.boolean("bias", true)) {}

Arguments QatLinearBase::arguments() const {
  const Tensor weight = tensor("weight");
  return {{"in_features", weight.size(1)}, {"out_features", weight.size(0)}, {"bias", find_tensor("bias").defined()}};
}

Tensor QatLinearBase::forward(const Tensor& x) const {
  return linear(x, faked(*this, tensor("weight")), find_tensor("bias"));
}

QatLinear::QatLinear(std::int64_t in, std::int64_t out, bool bias, const QConfigPtr& qconfig)
    : Implements(in, out, bias) {
  add_fake_quant(*this, qconfig);
}

QatLinearReLU::QatLinearReLU(std::int64_t in, std::int64_t out, bool bias, const QConfigPtr& qconfig)
    : Implements(in, out, bias) {
  add_fake_quant(*this, qconfig);
}

Tensor QatLinearReLU::forward(const Tensor& x) const { return relu(QatLinearBase::forward(x)); }

QatConvBase::QatConvBase(const Arguments& conv) {
  const ModulePtr layer = make_module("Conv2d", conv);  // checks, and the initial values
  arguments_ = layer->arguments();
  options_ = dynamic_cast<const Conv2d&>(*layer).options();
  register_parameter("weight", layer->tensor("weight"));
  register_parameter("bias", layer->find_tensor("bias"));
}

Tensor QatConvBase::forward(const Tensor& x) const {
  return conv2d(x, faked(*this, tensor("weight")), find_tensor("bias"), options_);
}

QatConv2d::QatConv2d(const Arguments& conv, const QConfigPtr& qconfig) : Implements(conv) {
  add_fake_quant(*this, qconfig);
}

QatConvReLU2d::QatConvReLU2d(const Arguments& conv, const QConfigPtr& qconfig) : Implements(conv) {
  add_fake_quant(*this, qconfig);
}

Tensor QatConvReLU2d::forward(const Tensor& x) const { return relu(QatConvBase::forward(x)); }

Tensor QatConvBnBase::forward(const Tensor& x) const {
  const ModulePtr& bn = child("bn");
  const auto* norm = dynamic_cast<const BatchNorm*>(bn.get());
  if (norm == nullptr) throw StateError(cat("[", type_name(), "] 'bn' is no batch norm"));
  const Tensor k = bn->tensor("weight") / sqrt(bn->tensor("running_var") + norm->arguments().number("eps"));
  const Tensor weight = faked(*this, tensor("weight") * channels(k, 0));
  Tensor y = conv2d(x, weight, Tensor(), options()) / channels(k, 1);
  if (const Tensor bias = find_tensor("bias"); bias.defined()) y = y + channels(bias, 1);
  return (*bn)(y);
}

QatConvBn2d::QatConvBn2d(const Arguments& conv, ModulePtr bn, const QConfigPtr& qconfig) : Implements(conv) {
  add_module("bn", std::move(bn));
  add_fake_quant(*this, qconfig);
}

QatConvBnReLU2d::QatConvBnReLU2d(const Arguments& conv, ModulePtr bn, const QConfigPtr& qconfig) : Implements(conv) {
  add_module("bn", std::move(bn));
  add_fake_quant(*this, qconfig);
}

Tensor QatConvBnReLU2d::forward(const Tensor& x) const { return relu(QatConvBnBase::forward(x)); }

}  // namespace coppice::nn::quant
