#pragma once
/// The parameter that is about to be pruned, checked.

#include "coppice/sparsity/prune/method.h"

namespace coppice::sparsity::prune {

/// What `name` is masked from, or the parameter itself where it has no mask. Nothing is computed.
/// @throws KeyError, TypeError  if it cannot be pruned
[[nodiscard]] Tensor prunable_original(const nn::Module& module, std::string_view name);

/// The current value of `name`, masked if it is pruned already, outside any graph. @throws as prunable_original
[[nodiscard]] Tensor prunable(const nn::Module& module, std::string_view name);

/// `method`, or a copy with the name of its tensor where it has none; itself if it cannot be copied.
[[nodiscard]] MethodPtr named(MethodPtr method, std::string_view name);

/// `method`, or a container of all methods so far and `method`. @throws ValueError  if one is for another tensor
[[nodiscard]] MethodPtr joined(const nn::Module& module, const std::string& name, MethodPtr method);

/// Sets the mask that `method` made; a parameter that is masked already keeps its methods in a container.
/// @returns  the method or the container
MethodPtr install(nn::Module& module, const std::string& name, const Tensor& mask, MethodPtr method);

}  // namespace coppice::sparsity::prune
