#include "coppice/nn/module.h"

#include <atomic>

#include "call.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/nn/slots.h"

namespace coppice::nn {
namespace {

/// The first few names, for messages: there may be tens of thousands, and a stranger may have chosen them.
template <class Map>
void list_names(std::string& out, const Map& map) {
  constexpr std::size_t kShown = 20;
  std::size_t shown = 0;
  for (const auto& [name, value] : map) {
    if (++shown > kShown) {
      out += cat(" and ", map.size() - kShown, " more");
      return;
    }
    out += (out.empty() ? "" : ", ") + quote(name);
  }
}

}  // namespace

TensorList Module::operator()(const TensorList& inputs) const {
  const Call call(*this);
  try {
    return run(inputs);
  } catch (Error& e) {
    call.place(e);
    throw;
  }
}

TensorList Module::run(const TensorList& inputs) const {
  const auto forwarded = [this](const TensorList& in) {
    const Call::Forward scope;
    return forward(in);
  };
  if (pre_hooks_.empty() && hooks_.empty()) return forwarded(inputs);
  TensorList in = inputs;
  for (const auto& [id, hook] : pre_hooks_.list())
    if (auto replaced = hook(*this, in)) in = std::move(*replaced);
  TensorList out = forwarded(in);
  for (const auto& [id, hook] : hooks_.list())
    if (auto replaced = hook(*this, in, out)) out = std::move(*replaced);
  return out;
}

Tensor Module::operator()(const Tensor& input) const {
  TensorList out = (*this)(TensorList{input});
  if (out.empty()) throw StateError(cat("[", type_name(), "] returned no tensor"));
  return std::move(out.front());
}

TensorList UnaryModule::forward(const TensorList& inputs) const {
  if (inputs.size() != 1) throw ValueError(cat("[", type_name(), "] takes one tensor; got ", inputs.size()));
  return {forward(inputs[0])};
}

Tensor Module::find_tensor(std::string_view name) const {
  if (const auto* found = derived_.find(name)) return (*found)->value(*this);
  for (const auto* map : {&plain_, &parameters_, &buffers_})
    if (const Tensor* found = map->find(name)) return *found;
  return {};
}

Tensor Module::tensor(std::string_view name) const {
  Tensor found = find_tensor(name);
  if (found.defined()) return found;
  std::string names;
  list_names(names, parameters_);
  list_names(names, buffers_);
  list_names(names, derived_);
  list_names(names, plain_);
  throw KeyError(cat("[", type_name(), "] has no tensor ", quote(name), "; it has ", names.empty() ? "none" : names));
}

bool Module::has(std::string_view name) const {
  return parameters_.contains(name) || buffers_.contains(name) || children_.contains(name) || plain_.contains(name) ||
         derived_.contains(name);
}

Slots Module::slots() { return Slots(*this); }

void Module::register_parameter(std::string_view name, Tensor value) {
  slots().register_parameter(name, std::move(value));
}

void Module::register_buffer(std::string_view name, Tensor value, bool persistent) {
  slots().register_buffer(name, std::move(value), persistent);
}

void Module::add_module(std::string_view name, ModulePtr child) { slots().add_module(name, std::move(child)); }
void Module::set_tensor(std::string_view name, Tensor value) { slots().set_tensor(name, std::move(value)); }

/// Handles find what stands under the name, so that nothing of theirs can be stale.
void Module::note_replaced(const std::vector<std::pair<std::string, ModulePtr>>& children) {
  std::erase_if(replaced_, [](const Replaced& r) { return r.module.expired(); });
  for (const auto& [name, child] : children)
    if (!anchor_.names(name)) replaced_.push_back({child.get(), child});
}

const ModulePtr& Module::child(std::string_view name) const {
  if (const ModulePtr* found = children_.find(name)) return *found;
  std::string names;
  list_names(names, children_);
  throw KeyError(cat("[", type_name(), "] has no child ", quote(name), "; it has ", names.empty() ? "none" : names));
}

HookHandle Module::register_forward_pre_hook(ForwardPreHook hook) { return pre_hooks_.add(std::move(hook)); }
HookHandle Module::register_forward_hook(ForwardHook hook) { return hooks_.add(std::move(hook)); }

void Module::train(bool on) noexcept {
  static std::atomic<std::uint64_t> walks{0};
  train_below(on, ++walks);
}

void Module::train_below(bool on, std::uint64_t walk) noexcept {
  if (walk_ == walk) return;
  walk_ = walk;
  training_ = on;
  for (const auto& [name, child] : children_) child->train_below(on, walk);
}

void Module::requires_grad_(bool on) {
  for (Tensor& t : parameters())
    if (is_floating(t.dtype())) t.requires_grad_(on);
}

void Module::zero_grad(bool set_to_none) {
  for (Tensor& t : parameters()) {
    if (!t.grad().defined()) continue;
    if (set_to_none)
      t.set_grad(Tensor());
    else
      t.grad().zero_();
  }
}

}  // namespace coppice::nn
