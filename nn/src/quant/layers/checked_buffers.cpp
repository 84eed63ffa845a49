#include "quant/layers/checked_buffers.h"

#include <algorithm>

#include "coppice/engine/checked.h"

namespace coppice::nn::quant {

const Tensor& needed(std::string_view type, const NamedTensors& own, const std::string& name, Dtype dtype,
                     const Shape& shape) {
  const Tensor* found = own.find(name);
  if (found == nullptr) throw FormatError(cat("[", type, "] needs ", quote(name)));
  if (found->dtype() != dtype || found->shape() != shape)
    throw FormatError(cat("[", type, "] ", quote(name), " must be ", dtype, " ", shape, "; got ", found->dtype(), " ",
                          found->shape()));
  return *found;
}

void check_qparams_buffers(std::string_view type, const NamedTensors& own, const Shape& shape, Dtype dtype) {
  const Tensor& scale = needed(type, own, "scale", Dtype::f32, shape);
  const Tensor& zero = needed(type, own, "zero_point", Dtype::i64, shape);
  try {
    QParams::per_tensor(scale.item(), zero.item<std::int64_t>())->check(type, Shape{}, dtype);
  } catch (const ValueError& e) {
    throw FormatError(e.what());
  }
}

void check_names(std::string_view type, const NamedTensors& own, std::initializer_list<std::string_view> names) {
  for (const auto& [name, tensor] : own)
    if (std::ranges::find(names, std::string_view(name)) == names.end())
      throw FormatError(cat("[", type, "] has no tensor ", quote(name)));
}

void show_buffers(Module& module, const NamedTensors& own) {
  for (const auto& [name, tensor] : own) module.tensor(name).replace_(tensor.detach());
}

}  // namespace coppice::nn::quant
