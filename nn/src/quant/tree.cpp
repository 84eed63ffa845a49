#include "quant/tree.h"

#include "coppice/engine/error.h"
#include "coppice/nn/slots.h"

namespace coppice::nn::quant {
namespace {

std::optional<TensorList> observed(const Module& module, const TensorList& tensors) {
  const ModulePtr* observer = module.children().find(kObserverChild);
  if (observer == nullptr || tensors.empty()) return std::nullopt;
  TensorList out = tensors;
  out[0] = (**observer)(tensors[0]);
  return out;
}

}  // namespace

bool is_leaf(const Module& module) {
  for (const auto& [name, child] : module.children())
    if (name != "parametrizations" && name != kObserverChild) return false;
  return true;
}

QConfigPtr qconfig_of(const Module& module) { return module.qconfig().has_value() ? *module.qconfig() : nullptr; }

std::optional<TensorList> ObserveOutput::operator()(const Module& module, const TensorList&,
                                                    const TensorList& outputs) const {
  return observed(module, outputs);
}

std::optional<TensorList> ObserveInput::operator()(const Module& module, const TensorList& inputs) const {
  return observed(module, inputs);
}

void add_observer(Module& module, const std::shared_ptr<ObserverBase>& observer) {
  if (module.children().contains(kObserverChild)) return;
  module.add_module(kObserverChild, observer);
  ModuleHooks own = module.slots().release_hooks();  // they come behind
  if (observer->is_memoryless())
    module.register_forward_pre_hook(ObserveInput{});
  else
    module.register_forward_hook(ObserveOutput{});
  module.slots().take_hooks(own);
}

void remove_observer(Module& module) {
  module.slots().erase_hooks([](const ForwardPreHook& hook) { return hook.target<ObserveInput>() != nullptr; },
                             [](const ForwardHook& hook) { return hook.target<ObserveOutput>() != nullptr; });
  if (module.children().contains(kObserverChild)) module.slots().erase(kObserverChild);
}

const ObserverBase& observer_of(std::string_view op, const Module& module) {
  const ModulePtr* child = module.children().find(kObserverChild);
  const auto* found = child == nullptr ? nullptr : dynamic_cast<const ObserverBase*>(child->get());
  if (found == nullptr)
    throw StateError(cat("[", op, "] ", module.type_name(), " has no observer of its output; prepare() comes first"));
  return *found;
}

std::vector<std::pair<std::string, ModulePtr>> children_of(const Module& module) {
  return {module.children().begin(), module.children().end()};
}

}  // namespace coppice::nn::quant
