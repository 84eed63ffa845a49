#include "coppice/nn/fqn.h"

#include "coppice/nn/parametrize.h"

namespace coppice::nn {

std::string joined(std::string_view path, std::string_view name) {
  if (path.empty() || name.empty()) return std::string(path.empty() ? name : path);
  std::string out(path);
  out += '.';
  return out += name;
}

std::optional<std::string> module_to_fqn(const Module& model, const Module& module) {
  for (const auto& [path, candidate] : model.named_modules())
    if (candidate == &module) return path;
  return std::nullopt;
}

Module* fqn_to_module(Module& model, std::string_view path) { return model.find_module(path); }

const Module* fqn_to_module(const Module& model, std::string_view path) { return model.find_module(path); }

namespace {

/// The path of the module and the name of the tensor in it.
std::pair<std::string_view, std::string_view> parts_of(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return {{}, path};
  return {path.substr(0, dot), path.substr(dot + 1)};
}

}  // namespace

TensorFqn get_arg_info_from_tensor_fqn(Module& model, std::string_view tensor_fqn) {
  const auto [owner, name] = parts_of(tensor_fqn);
  return {std::string(owner), model.find_module(owner), std::string(name), std::string(tensor_fqn)};
}

Tensor fqn_to_tensor(const Module& model, std::string_view path) {
  const auto [owner, name] = parts_of(path);
  const Module* module = model.find_module(owner);
  return module == nullptr ? Tensor() : module->find_tensor(name);
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
