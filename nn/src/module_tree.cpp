// Walking, converting, copying and printing whole trees of modules.
#include <unordered_map>
#include <unordered_set>

#include "coppice/engine/autograd.h"
#include "coppice/engine/error.h"
#include "coppice/nn/derived.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/module.h"
#include "coppice/nn/registry.h"
#include "shown.h"

namespace coppice::nn {
namespace {

template <class M>
void walk(std::string prefix, M* module, std::unordered_set<const Module*>& seen,
          std::vector<std::pair<std::string, M*>>& out) {
  if (!seen.insert(module).second) return;
  out.emplace_back(prefix, module);
  for (const auto& [name, child] : module->children()) walk<M>(joined(prefix, name), child.get(), seen, out);
}

template <class Pick>
std::vector<NamedTensor> collect(const Module& root, std::string_view prefix, Pick pick) {
  std::vector<NamedTensor> out;
  std::unordered_set<const TensorImpl*> seen;
  for (const auto& [path, module] : root.named_modules(prefix))
    for (const auto& [name, tensor] : pick(*module))
      if (tensor.defined() && seen.insert(tensor.impl().get()).second) out.emplace_back(joined(path, name), tensor);
  return out;
}

void describe_into(std::string& out, const Module& module, std::size_t indent) {
  if (!module.derived().empty() && module.children().contains("parametrizations")) out += "Parametrized";
  out += module.type_name();
  out += '(';
  bool first = true;
  for (const auto& [name, value] : module.arguments()) {
    if (!first) out += ", ";
    first = false;
    out += shown(name) + "=" + to_string(value);
  }
  for (const auto& [name, child] : module.children()) {
    out += '\n' + std::string(indent + 2, ' ') + '(' + shown(name) + "): ";
    describe_into(out, *child, indent + 2);
  }
  if (!module.children().empty()) out += '\n' + std::string(indent, ' ');
  out += ')';
}

}  // namespace

std::vector<std::pair<std::string, const Module*>> Module::named_modules(std::string_view prefix) const {
  std::vector<std::pair<std::string, const Module*>> out;
  std::unordered_set<const Module*> seen;
  walk<const Module>(std::string(prefix), this, seen, out);
  return out;
}

std::vector<std::pair<std::string, Module*>> Module::named_modules(std::string_view prefix) {
  std::vector<std::pair<std::string, Module*>> out;
  std::unordered_set<const Module*> seen;
  walk<Module>(std::string(prefix), this, seen, out);
  return out;
}

std::vector<NamedTensor> Module::named_parameters(std::string_view prefix) const {
  return collect(
      *this, prefix, [](const Module& m) -> const auto& { return m.own_parameters(); });
}

std::vector<NamedTensor> Module::named_buffers(std::string_view prefix) const {
  return collect(
      *this, prefix, [](const Module& m) -> const auto& { return m.own_buffers(); });
}

TensorList Module::parameters() const {
  TensorList out;
  for (auto& [name, tensor] : named_parameters()) out.push_back(tensor);
  return out;
}

Module* Module::find_module(std::string_view path) {
  return const_cast<Module*>(std::as_const(*this).find_module(path));
}

const Module* Module::find_module(std::string_view path) const {
  const Module* at = this;
  while (!path.empty()) {
    const std::size_t dot = path.find('.');
    const ModulePtr* next = at->children_.find(path.substr(0, dot));
    if (next == nullptr) return nullptr;
    at = next->get();
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return at;
}

void Module::to(Dtype dtype) {
  if (!is_floating(dtype)) throw DtypeError(cat("[Module::to] needs a floating type; got ", dtype));
  NoGrad guard;
  for (const auto& list : {named_parameters(), named_buffers()})
    for (const auto& [name, tensor] : list)
      if (is_floating(tensor.dtype())) {
        Tensor handle = tensor;
        const Tensor values = handle.to(dtype);
        Tensor gradient = handle.grad();
        if (gradient.defined()) gradient = gradient.to(dtype);
        // Nothing from here on takes memory.
        handle.replace_(values);
        handle.set_grad(std::move(gradient));
      }
}

/// What has been copied already, so that shared things stay shared.
struct Module::CopyMemo {
  std::unordered_map<const TensorImpl*, Tensor> tensors;
  std::unordered_map<const Module*, ModulePtr> modules;

  Tensor copy(const Tensor& t) {
    if (!t.defined()) return t;
    Tensor& slot = tensors[t.impl().get()];
    if (!slot.defined()) {
      slot = t.detach().clone();
      if (t.is_leaf() && t.requires_grad()) slot.requires_grad_(true);
    }
    return slot;
  }
};

ModulePtr Module::copy_with(CopyMemo& memo) const {
  if (const auto found = memo.modules.find(this); found != memo.modules.end()) return found->second;
  const detail::HandleCopies handles(anchor_);
  ModulePtr copy = shallow_copy();
  handles.settle(*copy);
  memo.modules[this] = copy;
  for (auto* map : {&copy->parameters_, &copy->buffers_, &copy->plain_})
    for (auto& [name, tensor] : *map) tensor = memo.copy(tensor);
  for (auto& [name, derived] : copy->derived_) derived = derived->clone();
  // Members of a program's class that hold children were copied as they are.
  if (!copy->children_.empty() && !is_built_in(copy->type_name()))
    copy->note_replaced({children_.begin(), children_.end()});
  for (auto& [name, child] : copy->children_) child = child->copy_with(memo);
  return copy;
}

ModulePtr Module::clone() const {
  NoGrad guard;
  CopyMemo memo;
  return copy_with(memo);
}

std::string Module::describe() const {
  std::string out;
  describe_into(out, *this, 0);
  return out;
}

}  // namespace coppice::nn
