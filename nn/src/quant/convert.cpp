#include "coppice/nn/quant/convert.h"

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
  for (const auto& [path, module] : root.named_modules()) {
    module->set_qconfig(std::nullopt);
    remove_observer(*module);
  }
}

ModulePtr working_copy(const char* op, const ModulePtr& model, Mode mode) {
  if (model == nullptr) throw ValueError(cat("[", op, "] needs a model"));
  return mode == Mode::copy ? model->clone() : model;
}

}  // namespace

void swap_below(Module& root, const SwapTable& table, bool keep_qconfig) {
  for (const auto& [name, child] : children_of(root)) {
    if (name == kObserverChild || name == kWeightFakeQuant || name == "parametrizations") continue;
    if (dynamic_cast<const FusedModule*>(child.get()) == nullptr) swap_below(*child, table, keep_qconfig);
    const QConfigPtr qconfig = qconfig_of(*child);
    const auto row = table.find(child->type_name());
    if (qconfig == nullptr || row == table.end()) continue;
    const ModulePtr made = row->second(child);
    remove_observer(*child);
    carry_over(*child, *made);
    if (keep_qconfig) made->set_qconfig(qconfig);
    root.add_module(name, made);
  }
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
    for (const char* type : {"Linear", "LSTM"}) spec.emplace(type, default_dynamic_qconfig());
  else if (dtype == Dtype::f16)
    for (const char* type : {"Linear", "LSTM"}) spec.emplace(type, float16_dynamic_qconfig());
  else
    throw ValueError(cat("[quantize_dynamic] dtype must be qint8 or float16; got ", dtype));
  return quantize_dynamic(model, spec, mode);
}

}  // namespace coppice::nn::quant
