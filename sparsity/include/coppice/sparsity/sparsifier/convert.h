#pragma once
/// Prepared layers in the place of which other types are put.

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/module.h"

namespace coppice::sparsity {

/// Makes a module of another type from a dense one, which stays as it is.
using FromDense = std::function<nn::ModulePtr(const nn::Module& dense)>;
/// By the registered type of what is replaced.
using ConvertMapping = std::map<std::string, FromDense, std::less<>>;

/// What stands for `module`: made by the mapping, with its hooks, training mode and plain tensors; `module` itself
/// where the mapping does not name its type. Puts it nowhere. @throws ValueError  if it makes nothing; and what it
/// throws Source: torch/ao/pruning/sparsifier/utils.py, swap_module
[[nodiscard]] nn::ModulePtr swap_module(const nn::ModulePtr& module, const ConvertMapping& mapping);

/// Replaces the modules below `model` that have a parametrization of the given type on one of their tensors and whose
/// type the mapping names. The model itself, modules without masks, and what stands below a replaced one are not looked
/// at; a module in several places is replaced in all.
/// @param inplace  changes `model`; otherwise a copy of it
/// @return  the model, or its copy
/// @throws ValueError  if the mapping makes nothing; and what it throws; the model has not changed then
/// Source: torch/ao/pruning/sparsifier/base_sparsifier.py, BaseSparsifier.convert
nn::ModulePtr convert(const nn::ModulePtr& model, const ConvertMapping& mapping, bool inplace = false,
                      std::string_view parametrization = nn::FakeSparsity::kType);

}  // namespace coppice::sparsity
