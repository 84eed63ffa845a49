#include "coppice/nn/quant/mappings.h"

#include <algorithm>

#include "coppice/engine/error.h"
#include "coppice/nn/layers/conv.h"
#include "coppice/nn/quant/fused.h"
#include "coppice/nn/quant/layers/conv.h"
#include "coppice/nn/quant/layers/linear.h"
#include "coppice/nn/quant/layers/quantize.h"
#include "coppice/nn/quant/qat.h"
#include "coppice/nn/quant/stubs.h"
#include "quant/from_float.h"
#include "quant/tree.h"
#include "quant/weights.h"

namespace coppice::nn::quant {
namespace {

/// The layer in a fused container; any other module itself.
const Module& layer_in(const Module& from) {
  return dynamic_cast<const FusedSequence*>(&from) != nullptr ? *from.child("0") : from;
}

// Static.

ModulePtr quantize_stub(const ModulePtr& from) {
  const ObserverBase& observer = observer_of("quantized.Quantize", *from);
  const auto [scale, zero] = observer.calculate_qparams();
  return std::make_shared<Quantize>(scale.item<float>(), zero.item<std::int64_t>(), observer.dtype());
}

ModulePtr dequantize_stub(const ModulePtr&) { return std::make_shared<DeQuantize>(); }

template <class Quantized>
ModulePtr static_linear(const ModulePtr& from) {
  const auto [weight, bias] = observed_weight(Quantized::kType, *from, layer_in(*from));
  return std::make_shared<Quantized>(weight, bias, observed_output(Quantized::kType, *from));
}

ConvOptions options_of(const Module& layer) {
  if (const auto* qat = dynamic_cast<const QatConvBase*>(&layer)) return qat->options();
  return dynamic_cast<const ConvNd&>(layer).options();
}

template <class Quantized>
ModulePtr static_conv(const ModulePtr& from) {
  const Module& layer = layer_in(*from);
  const auto [weight, bias] = observed_weight(Quantized::kType, *from, layer);
  return std::make_shared<Quantized>(weight, bias, options_of(layer), observed_output(Quantized::kType, *from));
}

// Training.

QConfigPtr qconfig_needed(std::string_view type, const Module& layer) {
  const QConfigPtr qconfig = qconfig_of(layer);
  if (qconfig == nullptr) throw StateError(cat("[", type, "] ", layer.type_name(), " has no qconfig"));
  return qconfig;
}

/// The training layer with the weight and bias of the float one, the same tensors.
ModulePtr with_tensors_of(const Module& layer, ModulePtr qat) {
  share_tensors(layer, *qat, {"weight", "bias"});
  return qat;
}

template <class Qat>
ModulePtr qat_linear(const ModulePtr& from) {
  const Module& layer = layer_in(*from);
  const Arguments a = layer.arguments();
  return with_tensors_of(layer, std::make_shared<Qat>(a.integer("in_features"), a.integer("out_features"),
                                                      a.boolean("bias", true), qconfig_needed(Qat::kType, layer)));
}

template <class Qat>
ModulePtr qat_conv(const ModulePtr& from) {
  const Module& layer = layer_in(*from);
  return with_tensors_of(layer, std::make_shared<Qat>(layer.arguments(), qconfig_needed(Qat::kType, layer)));
}

template <class Qat>
ModulePtr qat_conv_bn(const ModulePtr& from) {
  const Module& layer = layer_in(*from);
  return with_tensors_of(layer,
                         std::make_shared<Qat>(layer.arguments(), from->child("1"), qconfig_needed(Qat::kType, *from)));
}

/// Types of PyTorch's static table whose counterparts are not built.
constexpr std::string_view kNotBuilt[] = {"Conv3d",
                                          "BatchNorm2d",
                                          "LayerNorm",
                                          "Embedding",
                                          "EmbeddingBag",
                                          "intrinsic.BNReLU2d",
                                          "intrinsic.LinearBn1d",
                                          "intrinsic.ConvBn1d",
                                          "intrinsic.ConvBn2d",
                                          "intrinsic.ConvBnReLU1d",
                                          "intrinsic.ConvBnReLU2d"};

ModulePtr not_built(const ModulePtr& from) {
  throw NotSupported(cat("[convert] ", from->type_name(), " has no quantised form here; set its qconfig to null to ",
                         "leave it in float between a DeQuantStub and a QuantStub"));
}

template <class From>
void add(SwapTable& table, Swap swap) {
  table.emplace(From::kType, std::move(swap));
}

}  // namespace

const SwapTable& get_default_static_quant_module_mappings() {
  static const SwapTable table = [] {
    SwapTable t;
    add<QuantStub>(t, quantize_stub), add<DeQuantStub>(t, dequantize_stub);
    for (const char* type : {"Linear", "qat.Linear"}) t.emplace(type, static_linear<QuantizedLinear>);
    add<LinearReLU>(t, static_linear<QuantizedLinearReLU>), add<QatLinearReLU>(t, static_linear<QuantizedLinearReLU>);
    t.emplace("Conv1d", static_conv<QuantizedConv1d>), t.emplace("Conv2d", static_conv<QuantizedConv2d>);
    add<QatConv2d>(t, static_conv<QuantizedConv2d>), add<QatConvBn2d>(t, static_conv<QuantizedConv2d>);
    add<ConvReLU1d>(t, static_conv<QuantizedConvReLU1d>), add<ConvReLU2d>(t, static_conv<QuantizedConvReLU2d>);
    add<QatConvReLU2d>(t, static_conv<QuantizedConvReLU2d>);
    add<QatConvBnReLU2d>(t, static_conv<QuantizedConvReLU2d>);
    for (const std::string_view type : kNotBuilt) t.emplace(type, not_built);
    return t;
  }();
  return table;
}

const SwapTable& get_default_qat_module_mappings() {
  static const SwapTable table = [] {
    SwapTable t;
    t.emplace("Linear", qat_linear<QatLinear>), t.emplace("Conv2d", qat_conv<QatConv2d>);
    add<LinearReLU>(t, qat_linear<QatLinearReLU>), add<ConvReLU2d>(t, qat_conv<QatConvReLU2d>);
    add<ConvBn2d>(t, qat_conv_bn<QatConvBn2d>), add<ConvBnReLU2d>(t, qat_conv_bn<QatConvBnReLU2d>);
    for (const char* type : {"Conv3d", "intrinsic.LinearBn1d", "intrinsic.ConvBn1d", "intrinsic.ConvBnReLU1d"})
      t.emplace(type, not_built);
    return t;
  }();
  return table;
}

bool has_quantized_form(std::string_view type) {
  return get_default_static_quant_module_mappings().contains(type) &&
         std::ranges::find(kNotBuilt, type) == std::end(kNotBuilt);
}

bool is_observed_type(std::string_view type) {
  return get_default_static_quant_module_mappings().contains(type) ||
         get_default_qat_module_mappings().contains(type) || get_default_dynamic_quant_module_mappings().contains(type);
}

}  // namespace coppice::nn::quant
