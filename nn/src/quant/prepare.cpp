#include "coppice/nn/quant/prepare.h"

#include "coppice/engine/error.h"
#include "coppice/engine/warn.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/layers/activation.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/lstm.h"
#include "coppice/nn/quant/convert.h"
#include "coppice/nn/quant/fused.h"
#include "coppice/nn/quant/passive_observers.h"
#include "coppice/nn/quant/qat.h"
#include "coppice/nn/quant/stubs.h"
#include "quant/swap.h"
#include "quant/tree.h"

namespace coppice::nn::quant {
namespace {

void propagate(Module& module, const QConfigDict& dict, const QConfigPtr& above, const std::string& path) {
  QConfigPtr chosen = above;
  if (const auto found = dict.find(module.type_name()); found != dict.end()) chosen = found->second;
  if (const auto found = dict.find(path); found != dict.end()) chosen = found->second;
  if (module.qconfig()) chosen = *module.qconfig();
  module.set_qconfig(chosen);
  for (const auto& [name, child] : children_of(module)) propagate(*child, dict, chosen, joined(path, name));
}

/// The fixed fake quantiser of a layer whose results have a known range.
std::shared_ptr<ObserverBase> fixed_range_of(const Module& module) {
  if (!module.training()) return nullptr;
  const std::string_view type = module.type_name();
  Arguments a;
  if (type == Sigmoid::kType || type == Softmax::kType)
    a = FixedQParamsObserver::range_0_to_1();
  else if (type == Tanh::kType)
    a = FixedQParamsObserver::range_neg1_to_1();
  else
    return nullptr;
  a.set("observer", std::string(FixedQParamsObserver::kType));
  return ObserverFactory{"FakeQuantize", a}();
}

void observe(Module& module, std::shared_ptr<ObserverBase> special = nullptr) {
  const QConfigPtr qconfig = qconfig_of(module);
  if (qconfig == nullptr || module.type_name() == DeQuantStub::kType) return;
  if (module.children().contains(kObserverChild)) return;
  add_observer(module, special != nullptr ? special : qconfig->activation());
}

void add_observers(Module& module) {
  for (const auto& [name, child] : children_of(module)) {
    if (name == kObserverChild || name == kWeightFakeQuant || child->type_name() == Dropout::kType) continue;
    const bool unit = dynamic_cast<const FusedModule*>(child.get()) != nullptr ||
                      dynamic_cast<const QatLayer*>(child.get()) != nullptr;
    if (unit)
      observe(*child);
    else if (auto fixed = fixed_range_of(*child))
      observe(*child, std::move(fixed));
    else
      add_observers(*child);
  }
  if (module.type_name() == LSTM::kType && qconfig_of(module) != nullptr)
    throw NotSupported("[prepare] an LSTM is not quantised; set its qconfig to null to leave it in float");
  if (is_leaf(module) && module.type_name() != Sequential::kType && is_observed_type(module.type_name()))
    observe(module);
}

bool any_qconfig(const Module& root) {
  for (const auto& [path, module] : root.named_modules())
    if (qconfig_of(*module) != nullptr) return true;
  return false;
}

}  // namespace

void propagate_qconfig_(Module& root, const QConfigDict& dict) { propagate(root, dict, nullptr, ""); }

ModulePtr prepare(const ModulePtr& model, Mode mode) {
  if (model == nullptr) throw ValueError("[prepare] needs a model");
  const ModulePtr root = mode == Mode::copy ? model->clone() : model;
  propagate_qconfig_(*root);
  if (!any_qconfig(*root))
    warn("[prepare] no module has a qconfig, so that nothing is observed; set_qconfig() on those to be quantised");
  add_observers(*root);
  return root;
}

ModulePtr prepare_qat(const ModulePtr& model, Mode mode) {
  return prepare_qat(model, get_default_qat_module_mappings(), mode);
}

ModulePtr prepare_qat(const ModulePtr& model, const SwapTable& mapping, Mode mode) {
  if (model == nullptr) throw ValueError("[prepare_qat] needs a model");
  if (!model->training()) throw StateError("[prepare_qat] the model is in eval mode; train() comes first");
  const ModulePtr root = mode == Mode::copy ? model->clone() : model;
  propagate_qconfig_(*root);
  swap_below(*root, mapping, true);
  return prepare(root, Mode::inplace);
}

}  // namespace coppice::nn::quant
