#include "coppice/sparsity/prunable.h"

#include <set>
#include <string_view>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"
#include "coppice/nn/packed/packed_layer.h"

namespace coppice::sparsity {

namespace {

/// The module's own name and the tensor's, of a dotted path; of a parametrization's original, those of what it is of.
struct Places {
  std::string module, tensor;
};
Places places_of(const std::string& path) {
  const auto last_of = [](const std::string& text) { return text.substr(text.rfind('.') + 1); };
  const std::size_t dot = path.rfind('.');
  if (dot == path.npos) return {"", path};
  return {last_of(path.substr(0, dot)), path.substr(dot + 1)};
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// Whether a module is called so because it is a norm: "ln_1", "ln_f", "bn2", "LayerNorm", "batchnorm2d", "norm".
bool is_norm(std::string_view module) {
  if (module.ends_with("_f")) module.remove_suffix(2);
  if (module.size() > 1 && module.ends_with('d') && module[module.size() - 2] >= '1' &&
      module[module.size() - 2] <= '3')
    module.remove_suffix(1);
  while (!module.empty() && (module.back() == '_' || (module.back() >= '0' && module.back() <= '9')))
    module.remove_suffix(1);
  return module.ends_with("norm") || module == "ln" || module == "bn" || module == "gn";
}

/// Whether a module is called so because it embeds positions.
bool is_position(std::string_view module) {
  const auto holds = [&](std::string_view part) { return module.find(part) != module.npos; };
  if (holds("positionwise") || holds("position_wise")) return false;
  return module == "wpe" || holds("position") || holds("pos_emb") || holds("posemb") ||
         holds("relative_attention_bias");
}

}  // namespace

std::string left_by_default(const std::string& path, const Tensor& tensor) {
  if (!is_floating(tensor.dtype())) return cat("its type is ", tensor.dtype());
  if (tensor.dim() < 2) return "it has less than two axes";
  const std::string known = nn::public_name(path);
  const Places places = places_of(known);
  const std::string& name = places.tensor;
  if (known == path && path.ends_with(".original0")) return "the gain of a weight norm";
  if (!name.starts_with("weight")) return "its name does not begin with weight";
  if (name.ends_with("_g")) return "the gain of a weight norm";
  for (const std::string_view end : {"_scale", "_scale_inv", "_zero_point"})
    if (name.ends_with(end)) return "a scale of quantised numbers";
  const std::string module = lower(places.module);
  if (is_norm(module)) return "the weight of a norm";
  if (is_position(module)) return "an embedding of positions";
  return "";
}

bool is_prunable(const std::string& path, const Tensor& weight) { return left_by_default(path, weight).empty(); }

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
