// What quantize_dynamic() puts in the place of layers.
#include "coppice/engine/error.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/lstm.h"
#include "coppice/nn/quant/fused.h"
#include "coppice/nn/quant/layers/linear.h"
#include "coppice/nn/quant/mappings.h"
#include "quant/from_float.h"
#include "quant/tree.h"

namespace coppice::nn::quant {
namespace {

template <class Dynamic>
ModulePtr dynamic_linear(const ModulePtr& from) {
  const Module& layer = dynamic_cast<const FusedSequence*>(from.get()) != nullptr ? *from->child("0") : *from;
  const QConfigPtr qconfig = qconfig_of(layer);
  if (qconfig == nullptr) throw StateError(cat("[", Dynamic::kType, "] ", layer.type_name(), " has no qconfig"));
  if (qconfig->weight()->dtype() == Dtype::f16) {
    const Tensor bias = layer.find_tensor("bias");
    return std::make_shared<Dynamic>(layer.tensor("weight").detach().to(Dtype::f16),
                                     bias.defined() ? bias.detach().to(Dtype::f32) : Tensor());
  }
  const auto [weight, bias] = observed_weight(Dynamic::kType, *from, layer);
  return std::make_shared<Dynamic>(weight, bias);
}

ModulePtr dynamic_lstm(const ModulePtr&) {
  throw NotSupported("[quantize_dynamic] LSTM has no quantised form here; leave it out of the spec");
}

}  // namespace

const SwapTable& get_default_dynamic_quant_module_mappings() {
  static const SwapTable table{{std::string(Linear::kType), dynamic_linear<DynamicLinear>},
                               {std::string(LinearReLU::kType), dynamic_linear<DynamicLinearReLU>},
                               {std::string(LSTM::kType), dynamic_lstm}};
  return table;
}

}  // namespace coppice::nn::quant
