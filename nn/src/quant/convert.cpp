#include "coppice/nn/quant/convert.h"

#include <map>

#include "coppice/engine/autograd.h"
#include "coppice/engine/error.h"
#include "coppice/nn/quant/fused.h"
#include "coppice/nn/replace.h"
#include "quant/swap.h"
#include "quant/tree.h"

namespace coppice::nn::quant {
namespace {

/// Takes observers and qconfigs off the whole tree.
void strip(Module& root) {
  std::vector<ModulePtr> all;  // held: taking an observer off may be the end of it
  for (const auto& [path, module] : root.named_modules()) all.push_back(module->shared_from_this());
  for (const ModulePtr& module : all) {
    module->set_qconfig(std::nullopt);
    remove_observer(*module);
  }
}

ModulePtr working_copy(const char* op, const ModulePtr& model, Mode mode) {
  if (model == nullptr) throw ValueError(cat("[", op, "] needs a model"));
  return mode == Mode::copy ? model->clone() : model;
}

}  // namespace

namespace {

/// @param made  what took the place of which module: one that stands in several places is exchanged once
void swap_below(Module& root, const SwapTable& table, bool keep_qconfig, std::map<const Module*, ModulePtr>& made,
                std::vector<ModulePtr>& held) {
  for (const auto& [name, child] : children_of(root)) {
    if (name == kObserverChild || name == kWeightFakeQuant || name == "parametrizations") continue;
    if (dynamic_cast<const FusedModule*>(child.get()) == nullptr) swap_below(*child, table, keep_qconfig, made, held);
    if (const auto known = made.find(child.get()); known != made.end()) {
      root.add_module(name, known->second);
      continue;
    }
    const QConfigPtr qconfig = qconfig_of(*child);
    const auto row = table.find(child->type_name());
    if (qconfig == nullptr || row == table.end()) continue;
    const ModulePtr fresh = row->second(child);
    remove_observer(*child);
    carry_over(*child, *fresh);
    if (keep_qconfig) fresh->set_qconfig(qconfig);
    made.emplace(child.get(), fresh);
    made.emplace(fresh.get(), fresh);  // met again where its place is shared: as it is
    held.push_back(child);             // so that no other module gets its address
    root.add_module(name, fresh);
  }
}

}  // namespace

void swap_below(Module& root, const SwapTable& table, bool keep_qconfig) {
  std::map<const Module*, ModulePtr> made;
  std::vector<ModulePtr> held;
  swap_below(root, table, keep_qconfig, made, held);
}

ModulePtr convert(const ModulePtr& model, Mode mode) {
  return convert(model, get_default_static_quant_module_mappings(), mode);
}

ModulePtr convert(const ModulePtr& model, const SwapTable& mapping, Mode mode) {
  const ModulePtr root = working_copy("convert", model, mode);
  swap_below(*root, mapping, false);
  strip(*root);
  return root;
}

ModulePtr quantize(const ModulePtr& model, const std::function<void(Module&)>& run, Mode mode) {
  const ModulePtr root = working_copy("quantize", model, mode);
  root->eval();
  (void)prepare(root, Mode::inplace);
  run(*root);
  return convert(root, Mode::inplace);
}

ModulePtr quantize_qat(const ModulePtr& model, const std::function<void(Module&)>& run, Mode mode) {
  const ModulePtr root = working_copy("quantize_qat", model, mode);
  root->train();
  (void)prepare_qat(root, Mode::inplace);
  run(*root);
  return convert(root, Mode::inplace);
}

ModulePtr quantize_dynamic(const ModulePtr& model, const QConfigDict& spec, Mode mode) {
  const ModulePtr root = working_copy("quantize_dynamic", model, mode);
  root->eval();
  propagate_qconfig_(*root, spec);
  return convert(root, get_default_dynamic_quant_module_mappings(), Mode::inplace);
}

ModulePtr quantize_dynamic(const ModulePtr& model, Dtype dtype, Mode mode) {
  QConfigDict spec;
  if (dtype == Dtype::qint8)
    spec.emplace("Linear", default_dynamic_qconfig());
  else if (dtype == Dtype::f16)
    spec.emplace("Linear", float16_dynamic_qconfig());
  else
    throw ValueError(cat("[quantize_dynamic] dtype must be qint8 or float16; got ", dtype));
  return quantize_dynamic(model, spec, mode);
}

}  // namespace coppice::nn::quant
