#include "coppice/sparsity/prune/prune.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/nn/masks/names.h"
#include "target.h"

namespace coppice::sparsity::prune {

MethodPtr named(MethodPtr method, std::string_view name) {
  if (!method->tensor_name().empty()) return method;
  const std::shared_ptr<Method> own = method->copy();
  if (!own) return method;
  own->set_tensor_name(std::string(name));
  return own;
}

MethodPtr joined(const nn::Module& module, const std::string& name, MethodPtr method) {
  const MethodPtr before = method_of(module, name);
  if (!before) return method;
  auto all = std::make_shared<PruningContainer>();
  all->set_tensor_name(name);
  if (const auto* several = dynamic_cast<const PruningContainer*>(before.get()))
    for (const MethodPtr& m : *several) all->add_pruning_method(named(m, name));
  else
    all->add_pruning_method(named(before, name));
  all->add_pruning_method(std::move(method));
  return all;
}

Tensor prunable_original(const nn::Module& module, std::string_view name) {
  const std::string key(name);
  if (nn::is_masked(module, key)) return module.tensor(nn::original_of(key));
  const auto where = [&] { return cat("[prune] '", name, "' of ", module.type_name()); };
  const Tensor* slot = module.own_parameters().find(key);
  if (slot == nullptr) {
    if (!module.has(key)) throw KeyError(cat(where(), " does not exist"));
    throw TypeError(cat(where(), " is not a parameter"));
  }
  if (!slot->defined()) throw TypeError(cat(where(), " is an empty slot"));
  for (const std::string& needed : {nn::original_of(key), nn::mask_of(key)})
    if (module.has(needed)) throw KeyError(cat(where(), ": '", needed, "' is taken"));
  return *slot;
}

Tensor prunable(const nn::Module& module, std::string_view name) {
  return (nn::is_masked(module, name) ? module.tensor(name) : prunable_original(module, name)).detach();
}

MethodPtr install(nn::Module& module, const std::string& name, const Tensor& mask, MethodPtr method) {
  method = joined(module, name, std::move(method));
  nn::set_mask(module, name, mask, method);
  return method;
}

MethodPtr method_of(const nn::Module& module, std::string_view name) {
  if (!nn::is_masked(module, name)) return nullptr;
  const auto origin = nn::mask_origin(module, name);
  if (auto live = std::dynamic_pointer_cast<const Method>(origin)) return live;
  const auto steps = origin ? origin->steps() : std::vector<nn::MaskStep>{};
  if (steps.empty()) return named(std::make_shared<CustomFromMask>(), name);
  if (steps.size() == 1) return named(make_method(steps[0]), name);
  auto all = std::make_shared<PruningContainer>();
  all->set_tensor_name(std::string(name));
  for (const nn::MaskStep& step : steps) all->add_pruning_method(named(make_method(step), name));
  return all;
}

MethodPtr apply(nn::Module& module, std::string_view name, MethodPtr method, const Tensor& scores) {
  if (!method) throw TypeError("[prune] not a pruning method: null");
  const std::string key(name);
  if (!method->tensor_name().empty() && method->tensor_name() != key)
    throw ValueError(cat("[prune] a method for '", method->tensor_name(), "' on '", key, "'"));
  NoGrad guard;
  const Shape shape = prunable_original(module, key).shape();
  if (scores.defined() && scores.shape() != shape)
    throw ShapeError(cat("[prune] scores ", scores.shape(), " for '", key, "' of shape ", shape));
  const Tensor ranked = scores.defined() ? scores.detach() : prunable(module, key);
  method = named(std::move(method), key);
  const MethodPtr all = joined(module, key, method);
  const bool first = all == method;
  const Tensor mask = first ? method->first_mask(ranked, prunable_original(module, key).dtype())
                            : all->compute_mask(ranked, module.tensor(nn::mask_of(key)).detach());
  if (!mask.defined()) throw TypeError(cat("[prune] ", method->type_name(), " returned no mask"));
  nn::set_mask(module, key, mask, all);
  return all;
}

nn::Module& identity(nn::Module& module, std::string_view name) {
  apply(module, name, IdentityMethod());
  return module;
}

nn::Module& random_unstructured(nn::Module& module, std::string_view name, Amount amount, TieRule ties,
                                Generator* generator) {
  apply(module, name, RandomUnstructured(amount, ties, generator));
  return module;
}

nn::Module& l1_unstructured(nn::Module& module, std::string_view name, Amount amount, const Tensor& scores,
                            TieRule ties) {
  apply(module, name, L1Unstructured(amount, ties), scores);
  return module;
}

nn::Module& random_structured(nn::Module& module, std::string_view name, Amount amount, std::int64_t dim, TieRule ties,
                              Generator* generator) {
  apply(module, name, RandomStructured(amount, dim, ties, generator));
  return module;
}

nn::Module& ln_structured(nn::Module& module, std::string_view name, Amount amount, NormOrder n, std::int64_t dim,
                          const Tensor& scores, TieRule ties) {
  apply(module, name, LnStructured(amount, n, dim, ties), scores);
  return module;
}

nn::Module& custom_from_mask(nn::Module& module, std::string_view name, const Tensor& mask) {
  if (!mask.defined()) throw TypeError("[custom_from_mask] not a tensor: undefined");
  apply(module, name, CustomFromMask(mask));
  return module;
}

nn::Module& remove(nn::Module& module, std::string_view name) {
  if (!nn::is_masked(module, name))
    throw ValueError(cat("[remove] '", name, "' of ", module.type_name(), " is not pruned"));
  nn::burn_in_mask(module, name);
  return module;
}

bool is_pruned(const nn::Module& module) {
  for (const auto& [path, m] : module.named_modules())
    for (const auto& [name, derived] : m->derived())
      if (nn::is_masked(*m, name)) return true;
  return false;
}

}  // namespace coppice::sparsity::prune
