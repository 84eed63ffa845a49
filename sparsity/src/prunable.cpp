#include "coppice/sparsity/prunable.h"

#include <set>
#include <string_view>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"
#include "coppice/nn/packed/packed_layer.h"

namespace coppice::sparsity {

bool is_prunable(const std::string& path, const Tensor& weight) {
  const std::size_t dot = path.rfind('.');
  return is_floating(weight.dtype()) && weight.dim() >= 2 &&
         path.compare(dot == std::string::npos ? 0 : dot + 1, 6, "weight") == 0;
}

WeightCount count_weights(const nn::Module& model) {
  NoGrad guard;
  WeightCount out;
  for (const auto& [path, module] : model.named_modules()) {
    if (const auto* packed = dynamic_cast<const nn::PackedLayer*>(module)) {
      const std::int64_t n = packed->weight().rows() * packed->weight().cols();
      out.weights += n;
      out.zeros += n - packed->weight().nonzeros();
      continue;
    }
    const auto add = [&](const std::string& name, const Tensor& tensor) {
      if (!tensor.defined() || !is_prunable(name, tensor)) return;
      out.weights += tensor.numel();
      out.zeros += tensor.numel() - count_nonzero(tensor);
    };
    for (const auto& [name, derived] : module->derived()) add(name, module->tensor(name));
    for (const auto& [name, tensor] : module->own_parameters())
      if (!nn::is_original(*module, name)) add(name, tensor);
  }
  return out;
}

WeightCount count_weights(const NamedTensors& tensors) {
  NoGrad guard;
  WeightCount out;
  const auto add = [&](const std::string& name, const Tensor& tensor) {
    if (!is_prunable(name, tensor)) return;
    out.weights += tensor.numel();
    out.zeros += tensor.numel() - count_nonzero(tensor);
  };
  std::set<std::string_view> paired, counted;
  const std::vector<nn::NamedMask> masks = nn::masks_in(tensors);
  for (const nn::NamedMask& m : masks) {
    const Tensor &original = tensors.at(m.original), &mask = tensors.at(m.mask);
    const bool first = counted.insert(m.name).second;
    if (first && is_prunable(m.name, original))
      add(m.name, original.shape() == mask.shape() ? nn::apply_mask(original, mask) : original);
    paired.insert({m.original, m.mask});
  }
  for (const auto& [name, tensor] : tensors)
    if (!paired.contains(name) && !counted.contains(name)) add(name, tensor);
  return out;
}

}  // namespace coppice::sparsity
