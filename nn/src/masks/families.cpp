#include "coppice/nn/masks/families.h"

#include <map>
#include <string>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/masks/names.h"
#include "coppice/nn/parametrize.h"
#include "coppice/nn/slots.h"
#include "masks/derived_mask.h"
#include "parametrize_list.h"

namespace coppice::nn {
namespace {

using parametrize::ParametrizationList;

/// The FakeSparsity that comes first in a list with a single original.
const FakeSparsity* fake_in(const ParametrizationList& list) {
  const ModulePtr* first = list.is_tensor() ? list.children().find("0") : nullptr;
  return first == nullptr ? nullptr : dynamic_cast<const FakeSparsity*>(first->get());
}

/// The list of a tensor that FakeSparsity masks; null for others.
const ParametrizationList* fake_list(const Module& module, std::string_view name) {
  if (!parametrize::is_parametrized(module, name)) return nullptr;
  const ParametrizationList& list = parametrize::parametrizations_of(module, name);
  return fake_in(list) == nullptr ? nullptr : &list;
}

/// The only one, on a parameter that is nothing else.
bool is_alone(const ParametrizationList& list) {
  return list.size() == 1 && !list.is_buffer() && list.own_parameters().contains(parametrize::kOriginal);
}

/// X_orig and X_mask in the place of a FakeSparsity that is alone; their names must be free. All or nothing.
void take(const MaskedSlot& s) {
  Module& module = *s.module;
  const std::string original = original_of(s.name), bits = mask_of(s.name);
  const ModulePtr lists = module.child(parametrize::kChild);
  std::shared_ptr<Derived> derived = derived_mask(s.name, nullptr);
  Tensor parameter = s.original;
  const bool trained = parameter.requires_grad();
  const auto keep_frozen = [&] {
    if (!trained && parameter.requires_grad()) parameter.requires_grad_(false);
  };
  module.register_buffer(bits, s.mask);
  try {
    module.register_parameter(original, parameter);
  } catch (...) {
    module.slots().erase(bits);
    keep_frozen();
    throw;
  }
  // Nothing from here on takes memory.
  keep_frozen();
  module.slots().replace_derived(s.name, std::move(derived));
  lists->slots().erase(s.name);
  if (lists->children().empty()) module.slots().erase(parametrize::kChild);
}

void burn_in_all(Module& module);

/// What it is computed from comes first: that may be masked itself.
void burn_in(Module& module, const std::string& name) {
  if (is_masked(module, name)) {
    burn_in(module, original_of(name));
    if (module.own_parameters().contains(original_of(name))) burn_in_mask(module, name);
  } else if (parametrize::is_parametrized(module, name)) {
    ParametrizationList& list = parametrize::parametrizations_of(module, name);
    burn_in_all(list);
    if (fake_in(list) != nullptr && is_alone(list)) parametrize::remove_parametrizations(module, name);
  }
}

void burn_in_all(Module& module) {
  std::vector<std::string> names;
  for (const auto& [name, derived] : module.derived()) names.push_back(name);
  for (const std::string& name : names) burn_in(module, name);
}

}  // namespace

std::vector<MaskedSlot> masks_in(Module& root) {
  std::vector<MaskedSlot> out;
  for (const auto& [path, module] : root.named_modules())
    for (const auto& [name, derived] : module->derived()) {
      if (is_masked(*module, name))
        out.push_back(
            {module, joined(path, name), name, module->tensor(original_of(name)), module->tensor(mask_of(name))});
      else if (const ParametrizationList* list = fake_list(*module, name))
        out.push_back({module, joined(path, name), name, list->originals().at(0), fake_in(*list)->mask(), true});
    }
  return out;
}

Tensor original_now(const MaskedSlot& slot) {
  return slot.fake ? parametrize::parametrizations_of(*slot.module, slot.name).originals().at(0)
                   : slot.module->tensor(original_of(slot.name));
}

bool is_fake_original(const Module& list, std::string_view name) {
  const auto* typed = dynamic_cast<const ParametrizationList*>(&list);
  return typed != nullptr && name == parametrize::kOriginal && fake_in(*typed) != nullptr;
}

std::int64_t attach_masks_of(Module& root, const NamedTensors& tensors) {
  std::map<std::string, NamedMask> masks;
  for (NamedMask& m : masks_in(tensors)) masks.emplace(m.name, m);
  std::int64_t attached = 0;
  for (const auto& [path, module] : root.named_modules()) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : module->own_parameters())
      if (tensor.defined()) names.push_back(name);
    for (const std::string& name : names) {
      const auto found = masks.find(joined(path, name));
      if (found == masks.end()) continue;
      const Tensor value = module->tensor(name);
      const Tensor& mask = tensors.at(found->second.mask);
      if (mask.shape() != value.shape()) continue;
      if (name_of_original(found->second.original))
        attach_mask(*module, name, mask);
      else  // a wider mask would widen the tensor, which no parametrization may
        parametrize::register_parametrization(
            *module, name,
            std::make_shared<FakeSparsity>((is_floating(mask.dtype()) ? mask.to(value.dtype()) : mask).clone()));
      ++attached;
    }
  }
  return attached;
}

void burn_in_masks(Module& root) {
  const auto modules = root.named_modules();
  std::vector<ModulePtr> held;  // lists go with their FakeSparsity
  for (const auto& [path, module] : modules)
    for (const auto& [name, child] : module->children()) held.push_back(child);
  for (const auto& [path, module] : modules) burn_in_all(*module);
}

void take_fake_masks(Module& root) {
  std::vector<MaskedSlot> slots = masks_in(root);
  std::erase_if(slots, [](const MaskedSlot& s) {
    return !s.fake || !is_alone(parametrize::parametrizations_of(*s.module, s.name));
  });
  for (const MaskedSlot& s : slots) {
    if (s.mask.shape() != s.original.shape())
      throw ShapeError(
          cat("[take_fake_masks] mask ", s.mask.shape(), " for ", quote(s.path), " of shape ", s.original.shape()));
    for (const std::string& name : {original_of(s.name), mask_of(s.name)})
      if (s.module->has(name))
        throw KeyError(cat("[take_fake_masks] the module of ", quote(s.path), " already has ", quote(name)));
  }
  for (const MaskedSlot& s : slots) take(s);
}

}  // namespace coppice::nn
