#include "quant/weights.h"

#include <algorithm>

#include "coppice/engine/checked.h"
#include "coppice/engine/ops/quantized.h"
#include "coppice/engine/quantized_tensor.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/parametrize.h"
#include "coppice/nn/slots.h"

namespace coppice::nn::quant {

Tensor original_of(const Module& module, std::string_view name) {
  if (const Tensor* own = module.own_parameters().find(name); own != nullptr && own->defined()) return *own;
  if (is_masked(module, name)) return module.tensor(cat(name, "_orig"));
  const auto& list = parametrize::parametrizations_of(module, name);
  if (!list.is_tensor())
    throw NotSupported(cat("[quant] ", quote(name), " of ", module.type_name(), " has several originals"));
  return list.originals().at(0);
}

void share_tensors(const Module& from, Module& to, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (is_masked(from, name)) {
      to.slots().replace_parameter(name, from.tensor(cat(name, "_orig")));
      set_mask(to, name, from.tensor(cat(name, "_mask")), mask_origin(from, name));
    } else if (parametrize::is_parametrized(from, name)) {
      to.slots().replace_parameter(name, from.tensor(name).detach().clone());
      (void)parametrize::transfer_parametrizations_and_params(from, to, name);
    } else if (const Tensor* own = from.own_parameters().find(name)) {
      const bool trained = own->defined() && own->requires_grad();
      to.slots().replace_parameter(name, *own);
      if (own->defined() && is_floating(own->dtype())) Tensor(*own).requires_grad_(trained);
    }
  }
}

Tensor quantized_weight(std::string_view op, const Tensor& weight, const ObserverBase& observer) {
  if (observer.dtype() != Dtype::qint8)
    throw StateError(cat("[", op, "] the weight's observer must give qint8; it gives ", observer.dtype()));
  const CalculatedQParams found = observer.calculate_qparams();
  const Tensor values = weight.detach().to(Dtype::f32);
  Tensor q;
  // A channel that was never observed has one scale.
  if (is_per_channel(observer.qscheme()) && found.scale.numel() == values.size(observer.ch_axis()))
    q = quantize_per_channel(values, found.scale.to(Dtype::f64), found.zero_point, observer.ch_axis(), Dtype::qint8);
  else
    q = quantize_per_tensor(values, found.scale.item<float>(), found.zero_point.item<std::int64_t>(), Dtype::qint8);
  const auto [low, high] = observer.limits();
  if (low <= -128 && high >= 127) return q;
  Tensor integers = int_repr(q);
  for (std::int8_t& v : integers.mutable_data<std::int8_t>())
    v = static_cast<std::int8_t>(std::clamp<std::int64_t>(v, low, high));
  return make_quantized(integers, Dtype::qint8, q.qparams());
}

}  // namespace coppice::nn::quant
