#include "coppice/nn/parametrize.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/slots.h"
#include "parametrize_list.h"

namespace coppice::nn::parametrize {
namespace {

const ParametrizationList* find_list(const Module& module, std::string_view name) {
  const ModulePtr* all = module.children().find(kChild);
  if (all == nullptr || !module.derived().contains(name)) return nullptr;
  const ModulePtr* list = (*all)->children().find(name);
  return list == nullptr ? nullptr : dynamic_cast<const ParametrizationList*>(list->get());
}

std::string subject(const Module& module, std::string_view name) {
  return cat(quote(name), " of ", module.type_name());
}

/// @throws ValueError  unless `made` may stand for `wanted`
void check_same(const char* what, const Module& by, const Tensor& made, const Tensor& wanted) {
  if (!made.defined())
    throw ValueError(cat("[register_parametrization] ", what, " of ", by.type_name(), " gave no tensor"));
  if (made.dtype() != wanted.dtype())
    throw ValueError(cat("[register_parametrization] ", what, " of ", by.type_name(), " gives ", made.dtype(),
                         " for a tensor of ", wanted.dtype(), "; unsafe = true allows it"));
  if (made.shape() != wanted.shape())
    throw ValueError(cat("[register_parametrization] ", what, " of ", by.type_name(), " gives shape ", made.shape(),
                         " for ", wanted.shape(), "; unsafe = true allows it"));
}

bool shows_the_same(const Tensor& a, const Tensor& b) {
  return a.shares_storage(b) && a.storage_offset() == b.storage_offset() && a.shape() == b.shape();
}

/// Behind the parametrizations that the tensor has.
void append(Module& module, std::string_view name, const ModulePtr& p, bool unsafe) {
  ParametrizationList& list = parametrizations_of(module, name);
  if (!unsafe) {
    NoGrad guard;
    const Tensor now = list.value();
    const TensorList made = (*p)(TensorList{now});
    check_same("forward", *p, made.size() == 1 ? made[0] : Tensor(), now);
    if (const auto* inverse = dynamic_cast<const RightInverse*>(p.get())) {
      try {
        const Originals back = inverse->right_inverse(made[0]);
        const Tensor* one = std::get_if<Tensor>(&back);
        check_same("right_inverse", *p, one == nullptr ? Tensor() : *one, now);
      } catch (const NotSupported&) {  // it has none after all
      }
    }
  }
  Access::append(list, p, unsafe);
}

/// Checks everything before anything is written: PyTorch has overwritten the values when it finds that they do not fit.
void begin(Module& module, const std::string& name, const ModulePtr& p, bool unsafe) {
  const Tensor* parameter = module.own_parameters().find(name);
  const Tensor* buffer = module.own_buffers().find(name);
  Tensor original = parameter != nullptr ? *parameter : buffer != nullptr ? *buffer : Tensor();
  if (!original.defined())
    throw ValueError(cat("[register_parametrization] ", subject(module, name), " is no parameter or buffer"));
  const bool fresh = !module.children().contains(kChild);
  if (fresh && module.has(kChild))
    throw KeyError(cat("[register_parametrization] ", module.type_name(), " has a tensor '", kChild, "'"));
  if (!fresh && dynamic_cast<ModuleDict*>(module.child(kChild).get()) == nullptr)
    throw KeyError(
        cat("[register_parametrization] the child '", kChild, "' of ", module.type_name(), " is something else"));

  NoGrad guard;
  auto list = Access::make(buffer != nullptr && parameter == nullptr);
  Access::append(*list, p, unsafe);
  const Originals made = invert(*list, original.detach(), false);
  const Tensor* one = std::get_if<Tensor>(&made);
  TensorList originals = one != nullptr ? TensorList{*one} : std::get<TensorList>(made);
  for (const Tensor& t : originals)
    if (!t.defined())
      throw ValueError(cat("[register_parametrization] right_inverse of ", p->type_name(), " gave no tensor"));
  if (one != nullptr && one->dtype() != original.dtype())
    throw ValueError(cat("[register_parametrization] right_inverse of ", p->type_name(), " gives ", one->dtype(),
                         " for a tensor of ", original.dtype()));
  if (!unsafe) check_same("forward", *p, Access::compute(*list, originals), original);

  if (one != nullptr) {
    originals = {original};
  } else {
    for (Tensor& t : originals) {
      t = t.detach().clone();
      if (is_floating(t.dtype())) t.requires_grad_(original.requires_grad());
    }
  }
  const Tensor values = one != nullptr ? one->detach() : Tensor();
  Access::set_originals(*list, originals, one != nullptr);
  auto derived = parametrized(name);
  if (fresh) module.add_module(kChild, std::make_shared<ModuleDict>());
  try {
    module.child(kChild)->add_module(name, list);
    try {
      module.slots().derive(name, std::move(derived));
    } catch (...) {
      module.child(kChild)->slots().erase(name);
      throw;
    }
  } catch (...) {
    if (fresh) module.slots().erase(kChild);
    throw;
  }
  if (values.defined() && !shows_the_same(values, original)) original.replace_(values);
}

}  // namespace

Module& register_parametrization(Module& module, std::string_view name, ModulePtr p, bool unsafe) {
  if (p == nullptr) throw ValueError("[register_parametrization] the parametrization is null");
  const std::string key(name);
  std::vector<std::pair<Module*, bool>> modes;
  for (const auto& [path, part] : p->named_modules()) modes.emplace_back(part, part->training());
  p->train(module.training());
  try {
    if (find_list(module, key) != nullptr)
      append(module, key, p, unsafe);
    else
      begin(module, key, p, unsafe);
  } catch (...) {
    for (const auto& [part, mode] : modes) part->set_training(mode);
    throw;
  }
  return module;
}

Module& remove_parametrizations(Module& module, std::string_view name, bool leave_parametrized) {
  const std::string key(name);
  ParametrizationList& list = parametrizations_of(module, key);
  const bool buffer = list.is_buffer();
  Tensor original, values;
  if (list.is_tensor()) {
    original = Access::slots(list).at(0);
    if (leave_parametrized) {
      NoGrad guard;
      const Tensor value = list.value();
      if (!shows_the_same(value, original)) values = value.detach().clone();
    }
  } else {
    if (!leave_parametrized)
      throw ValueError(cat("[remove_parametrizations] ", subject(module, key), " has ", list.originals().size(),
                           " originals: none of them can stand for it; leave_parametrized must be true"));
    original = list.value().detach().clone();
    bool trained = false;  // whatever the grad mode is now
    for (const Tensor& t : list.originals()) trained = trained || t.requires_grad();
    if (is_floating(original.dtype())) original.requires_grad_(trained);
  }
  const ModulePtr all = module.child(kChild);
  module.slots().underive(key, original, buffer);
  // Nothing from here on takes memory.
  all->slots().erase(key);
  if (all->children().empty()) module.slots().erase(kChild);
  if (values.defined()) original.replace_(values);
  return module;
}

bool is_parametrized(const Module& module, std::string_view name) {
  if (!name.empty()) return find_list(module, name) != nullptr;
  for (const auto& [key, derived] : module.derived())
    if (find_list(module, key) != nullptr) return true;
  return false;
}

const ParametrizationList& parametrizations_of(const Module& module, std::string_view name) {
  if (const ParametrizationList* list = find_list(module, name)) return *list;
  throw ValueError(cat("[parametrize] ", subject(module, name), " is not parametrized"));
}

ParametrizationList& parametrizations_of(Module& module, std::string_view name) {
  return const_cast<ParametrizationList&>(parametrizations_of(std::as_const(module), name));
}

std::string_view type_before_parametrizations(const Module& module) { return module.type_name(); }

Module& transfer_parametrizations_and_params(const Module& from, Module& to, std::string_view name) {
  if (!is_parametrized(from)) return to;
  if (&from == &to) throw ValueError("[transfer_parametrizations_and_params] from a module to itself");
  std::vector<std::string> names;
  if (name.empty())
    for (const auto& [key, list] : from.child(kChild)->children()) names.push_back(key);
  else
    names.emplace_back(name);
  for (const std::string& key : names) (void)Access::slots(parametrizations_of(from, key));
  for (const std::string& key : names) {
    const ParametrizationList& list = parametrizations_of(from, key);
    if (!to.has(key)) to.register_parameter(key, list.value().detach().clone());
    for (const auto& [index, p] : list.children())
      if (index != kChild) register_parametrization(to, key, p, list.unsafe());
    Access::set_originals(parametrizations_of(to, key), Access::slots(list), list.is_tensor());
  }
  return to;
}

}  // namespace coppice::nn::parametrize
