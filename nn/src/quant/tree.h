#pragma once
// Walking and changing module trees as the quantisation flow does. Private to the library.

#include "coppice/nn/module.h"
#include "coppice/nn/quant/qconfig.h"

namespace coppice::nn::quant {

inline constexpr const char* kObserverChild = "activation_post_process";
inline constexpr const char* kWeightFakeQuant = "weight_fake_quant";

/// No children but those of parametrizations and observers.
[[nodiscard]] bool is_leaf(const Module& module);
/// The qconfig that says something; null if there is none or it switches quantisation off.
[[nodiscard]] QConfigPtr qconfig_of(const Module& module);

/// Calls the observer on the first output, and puts what it returns in its place.
struct ObserveOutput {
  std::optional<TensorList> operator()(const Module& module, const TensorList& inputs, const TensorList& outputs) const;
};
/// The same for the first input.
struct ObserveInput {
  std::optional<TensorList> operator()(const Module& module, const TensorList& inputs) const;
};
/// Gives `module` the observer and its hook, in front of those that are there. Nothing if it has one.
void add_observer(Module& module, const std::shared_ptr<ObserverBase>& observer);
/// Takes the hook and the observer off.
void remove_observer(Module& module);

/// The observer of a module's output. @throws StateError  naming `op`, if there is none
[[nodiscard]] const ObserverBase& observer_of(std::string_view op, const Module& module);

/// Children without those that a walk would change: names and modules as they are now.
[[nodiscard]] std::vector<std::pair<std::string, ModulePtr>> children_of(const Module& module);

}  // namespace coppice::nn::quant
