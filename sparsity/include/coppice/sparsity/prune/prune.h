#pragma once
/// torch.nn.utils.prune: pruning of parameters in place, undone or made permanent by name.
///
/// After the first pruning the parameter X is X_orig (the same tensor object, last in order), with a buffer X_mask, and
/// X is their product whenever it is read. Further prunings change the mask. Whatever fails leaves the module as it
/// was. Source: torch/nn/utils/prune.py

#include "coppice/sparsity/prune/container.h"
#include "coppice/sparsity/prune/custom.h"
#include "coppice/sparsity/prune/global.h"
#include "coppice/sparsity/prune/method.h"
#include "coppice/sparsity/prune/structured.h"
#include "coppice/sparsity/prune/unstructured.h"

namespace coppice::sparsity::prune {

/// Prunes parameter `name`; from the second pruning on the method counts what is left, see combine().
/// @param scores  rank in place of the current (masked) values; shape of the parameter
/// @returns  what made the mask, with `name` as its tensor_name: the method (a copy of it, if it was given by pointer
///           without a name; see Method::copy), or a container of all so far
/// @throws KeyError  if there is no such parameter, or X_orig or X_mask is taken; TypeError  for an empty slot, a
///         buffer, or a tensor derived otherwise; ShapeError; and what the method throws; with nothing changed
MethodPtr apply(nn::Module& module, std::string_view name, MethodPtr method, const Tensor& scores = {});

/// The same with the method made in place: apply(m, "weight", L1Unstructured(0.2)).
template <class M>
requires std::derived_from<M, Method> MethodPtr apply(nn::Module& module, std::string_view name, M method,
                                                      const Tensor& scores = {}) {
  if (method.tensor_name().empty()) method.set_tensor_name(std::string(name));
  return apply(module, name, MethodPtr(std::make_shared<M>(std::move(method))), scores);
}

/// The method or the container that made the mask of `name`. What a model file brought back is made anew by
/// make_method; a mask that no method made counts as CustomFromMask. Both carry `name`. Null if `name` is not masked.
[[nodiscard]] MethodPtr method_of(const nn::Module& module, std::string_view name);

/// Each prunes `name` by the method of its name and returns the module, so that calls chain. @throws as apply()
nn::Module& identity(nn::Module& module, std::string_view name);
nn::Module& random_unstructured(nn::Module& module, std::string_view name, Amount amount,
                                TieRule ties = default_tie_rule(), Generator* generator = nullptr);
nn::Module& l1_unstructured(nn::Module& module, std::string_view name, Amount amount, const Tensor& scores = {},
                            TieRule ties = default_tie_rule());
nn::Module& random_structured(nn::Module& module, std::string_view name, Amount amount, std::int64_t dim,
                              TieRule ties = default_tie_rule(), Generator* generator = nullptr);
nn::Module& ln_structured(nn::Module& module, std::string_view name, Amount amount, NormOrder n, std::int64_t dim,
                          const Tensor& scores = {}, TieRule ties = default_tie_rule());
nn::Module& custom_from_mask(nn::Module& module, std::string_view name, const Tensor& mask);

/// Makes pruning permanent: X is a parameter again, the same tensor object, with the masked values, last in order. Its
/// gradient stays. @throws ValueError  if `name` of this very module is not pruned; StateError  if X_orig is itself
/// pruned: that must be removed first
nn::Module& remove(nn::Module& module, std::string_view name);

/// Whether any parameter in this tree has a mask.
[[nodiscard]] bool is_pruned(const nn::Module& module);

}  // namespace coppice::sparsity::prune
