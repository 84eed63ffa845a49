#include "coppice/nn/fqn.h"

#include "coppice/nn/parametrize.h"

namespace coppice::nn {

std::optional<std::string> module_to_fqn(const Module& model, const Module& module) {
  for (const auto& [path, candidate] : model.named_modules())
    if (candidate == &module) return path;
  return std::nullopt;
}

Module* fqn_to_module(Module& model, std::string_view path) { return model.find_module(path); }

TensorFqn get_arg_info_from_tensor_fqn(Module& model, std::string_view tensor_fqn) {
  const std::size_t dot = tensor_fqn.rfind('.');
  const bool nested = dot != std::string_view::npos;
  const std::string_view owner = nested ? tensor_fqn.substr(0, dot) : std::string_view();
  return {std::string(owner), model.find_module(owner), std::string(nested ? tensor_fqn.substr(dot + 1) : tensor_fqn),
          std::string(tensor_fqn)};
}

Tensor fqn_to_tensor(const Module& model, std::string_view path) {
  const TensorFqn parts = get_arg_info_from_tensor_fqn(const_cast<Module&>(model), path);
  return parts.module == nullptr ? Tensor() : parts.module->find_tensor(parts.tensor_name);
}

bool module_contains_param(const Module& module, std::string_view parametrization) {
  if (!parametrize::is_parametrized(module)) return false;
  for (const auto& [name, derived] : module.derived()) {
    if (!parametrize::is_parametrized(module, name)) continue;
    for (const auto& [index, p] : parametrize::parametrizations_of(module, name).children())
      if (p->type_name() == parametrization) return true;
  }
  return false;
}

}  // namespace coppice::nn
