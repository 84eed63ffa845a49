#pragma once
/// Fully qualified names: dotted paths of modules and tensors in a tree.

#include <optional>
#include <string>
#include <string_view>

#include "coppice/nn/module.h"

namespace coppice::nn {

/// "a.b" and "c" -> "a.b.c"; either may be empty.
[[nodiscard]] std::string joined(std::string_view path, std::string_view name);

/// The path of `module` below `model`, the first in order of children; "" for the model itself; nothing if it is not
/// in the tree. Source: torch/ao/pruning/sparsifier/utils.py
[[nodiscard]] std::optional<std::string> module_to_fqn(const Module& model, const Module& module);

/// The module at a path; "" is the model; null if there is none.
[[nodiscard]] Module* fqn_to_module(Module& model, std::string_view path);
[[nodiscard]] const Module* fqn_to_module(const Module& model, std::string_view path);

/// The tensor at a path such as "seq.0.weight", masked or computed ones as they are now; undefined if there is none.
[[nodiscard]] Tensor fqn_to_tensor(const Module& model, std::string_view path);

/// A tensor's path in parts: for "a.b.weight" the module "a.b" and the name "weight".
struct TensorFqn {
  std::string module_fqn;
  Module* module;  ///< null if the model has no module of that path
  std::string tensor_name;
  std::string tensor_fqn;
};
[[nodiscard]] TensorFqn get_arg_info_from_tensor_fqn(Module& model, std::string_view tensor_fqn);

/// Whether a tensor of this very module has a parametrization of the registered type `parametrization`.
[[nodiscard]] bool module_contains_param(const Module& module, std::string_view parametrization);

}  // namespace coppice::nn
