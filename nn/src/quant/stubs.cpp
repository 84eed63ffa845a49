#include "coppice/nn/quant/stubs.h"

#include "coppice/engine/error.h"
#include "quant/tree.h"

namespace coppice::nn::quant {

QuantWrapper::QuantWrapper(ModulePtr module) {
  if (module == nullptr) throw ValueError("[QuantWrapper] needs a module");
  set_qconfig(module->qconfig());
  add_module("quant", std::make_shared<QuantStub>(module->qconfig()));
  add_module("dequant", std::make_shared<DeQuantStub>(module->qconfig()));
  set_training(module->training());
  add_module("module", std::move(module));
}

TensorList QuantWrapper::forward(const TensorList& inputs) const {
  return (*child("dequant"))((*child("module"))((*child("quant"))(inputs)));
}

ModulePtr add_quant_dequant(const ModulePtr& root) {
  if (root == nullptr) throw ValueError("[add_quant_dequant] needs a module");
  if (is_leaf(*root) && qconfig_of(*root) != nullptr) return std::make_shared<QuantWrapper>(root);
  for (const auto& [name, child] : children_of(*root))
    if (name != "parametrizations" && name != kObserverChild) {
      ModulePtr wrapped = add_quant_dequant(child);
      if (wrapped != child) root->add_module(name, std::move(wrapped));
    }
  return root;
}

}  // namespace coppice::nn::quant
