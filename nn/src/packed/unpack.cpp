#include "coppice/nn/packed/unpack.h"

#include <string>

#include "coppice/engine/checked.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/init.h"
#include "coppice/nn/registry.h"
#include "coppice/nn/replace.h"

namespace coppice::nn {

ModulePtr unpacked_layer(const PackedLayer& layer, MemoryBudget* budget, std::string_view path) {
  const std::uint64_t sizes[] = {static_cast<std::uint64_t>(layer.weight().rows()),
                                 static_cast<std::uint64_t>(layer.weight().cols())};
  const std::string name = path.empty() ? "weight" : cat(path, ".weight");
  if (budget != nullptr)
    budget->take(checked_volume(sizes, sizeof(float)).value_or(UINT64_MAX), cat("unpacked ", quote(name)));
  Arguments arguments;
  for (const auto& [key, value] : layer.arguments())
    if (key != "format") arguments.set(key, value);
  const SkipInit values_come_below;
  const ModulePtr dense = make_module(layer.dense_type(), arguments);
  dense->tensor("weight").replace_(layer.unpacked());
  if (const Tensor bias = layer.find_tensor("bias"); bias.defined()) dense->tensor("bias").replace_(bias.clone());
  dense->set_training(layer.training());
  return dense;
}

ModulePtr unpack(const ModulePtr& model, MemoryBudget* budget) {
  Replacements dense;
  for (const auto& [path, layer] : packed_layers(*model)) dense.emplace(layer, unpacked_layer(*layer, budget, path));
  return replace_modules(model, dense);
}

}  // namespace coppice::nn
