#include "quant/from_float.h"

#include "coppice/engine/autograd.h"
#include "coppice/nn/layers/norm.h"
#include "coppice/nn/quant/fuse_modules.h"
#include "coppice/nn/quant/qat.h"
#include "quant/tree.h"
#include "quant/weights.h"

namespace coppice::nn::quant {
namespace {

/// Weight and bias as they are to be stored: with the batch norm of training folded in.
ObservedWeight floats_of(const Module& layer) {
  const Tensor weight = layer.tensor("weight").detach(), bias = layer.find_tensor("bias");
  const Tensor plain = bias.defined() ? bias.detach() : Tensor();
  const ModulePtr* bn = layer.children().find("bn");
  if (bn == nullptr) return {weight, plain};
  const auto* norm = dynamic_cast<const BatchNorm*>(bn->get());
  if (norm == nullptr) throw StateError(cat("[convert] 'bn' of ", layer.type_name(), " is no batch norm"));
  const FoldedWeights folded =
      fuse_conv_bn_weights(weight, plain, norm->tensor("running_mean"), norm->tensor("running_var"),
                           norm->arguments().number("eps"), norm->find_tensor("weight"), norm->find_tensor("bias"));
  return {folded.weight.detach(), folded.bias.detach()};
}

}  // namespace

ObservedWeight observed_weight(std::string_view op, const Module& from, const Module& layer) {
  const NoGrad guard;
  const ObservedWeight floats = floats_of(layer);
  std::shared_ptr<ObserverBase> fresh;
  const ObserverBase* observer = nullptr;
  if (from.children().contains(kWeightFakeQuant)) {
    observer = &weight_fake_quant_of(from);
  } else {
    const QConfigPtr qconfig = qconfig_of(layer);
    if (qconfig == nullptr) throw StateError(cat("[", op, "] ", layer.type_name(), " has no qconfig"));
    fresh = qconfig->weight();
    observer = fresh.get();
  }
  (void)(*observer)(floats.weight);
  const Tensor bias = floats.bias.defined() ? floats.bias.to(Dtype::f32) : Tensor();
  return {quantized_weight(op, floats.weight, *observer), bias};
}

QuantizedOutput observed_output(std::string_view op, const Module& from) {
  const auto [scale, zero] = observer_of(op, from).calculate_qparams();
  return {scale.item<float>(), zero.item<std::int64_t>(), false};
}

}  // namespace coppice::nn::quant
