#include "coppice/sparsity/sparsifier/convert.h"

#include "coppice/engine/checked.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/replace.h"

namespace coppice::sparsity {
namespace {

/// What the mapping makes of the module; null where it does not name its type.
nn::ModulePtr made_of(const nn::Module& module, const ConvertMapping& mapping) {
  const auto it = mapping.find(module.type_name());
  if (it == mapping.end()) return nullptr;
  nn::ModulePtr made = it->second ? it->second(module) : nullptr;
  if (made == nullptr)
    throw ValueError(cat("[swap_module] the mapping for ", quote(module.type_name()), " makes no module"));
  return made;
}

void collect(const nn::Module& module, const ConvertMapping& mapping, std::string_view parametrization,
             nn::Replacements& out) {
  for (const auto& [name, child] : module.children()) {
    if (out.contains(child.get())) continue;
    if (nn::module_contains_param(*child, parametrization))
      if (nn::ModulePtr made = made_of(*child, mapping)) {
        out.emplace(child.get(), std::move(made));
        continue;
      }
    collect(*child, mapping, parametrization, out);
  }
}

}  // namespace

nn::ModulePtr swap_module(const nn::ModulePtr& module, const ConvertMapping& mapping) {
  if (module == nullptr) throw ValueError("[swap_module] the module is null");
  nn::ModulePtr made = made_of(*module, mapping);
  if (made == nullptr) return module;
  nn::carry_over(*module, *made);
  return made;
}

nn::ModulePtr convert(const nn::ModulePtr& model, const ConvertMapping& mapping, bool inplace,
                      std::string_view parametrization) {
  if (model == nullptr) throw ValueError("[convert] the model is null");
  const nn::ModulePtr root = inplace ? model : model->clone();
  nn::Replacements replacements;
  collect(*root, mapping, parametrization, replacements);
  return nn::replace_modules(root, replacements);
}

}  // namespace coppice::sparsity
