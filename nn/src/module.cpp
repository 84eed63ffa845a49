#include "coppice/nn/module.h"

#include <atomic>
#include <set>

#include "call.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"

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

template <class Hook>
HookHandle attach(std::shared_ptr<HookList<Hook>>& list, Hook hook) {
  if (list == nullptr) list = std::make_shared<HookList<Hook>>();
  const std::uint64_t id = detail::next_hook_id();
  list->emplace_back(id, std::move(hook));
  return {id, [weak = std::weak_ptr(list), id] {
            if (const auto alive = weak.lock()) std::erase_if(*alive, [id](const auto& e) { return e.first == id; });
          }};
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
  if (pre_hooks_ == nullptr && hooks_ == nullptr) return forwarded(inputs);
  TensorList in = inputs;
  if (pre_hooks_ != nullptr)
    for (const auto& [id, hook] : HookList<ForwardPreHook>(*pre_hooks_))
      if (auto replaced = hook(*this, in)) in = std::move(*replaced);
  TensorList out = forwarded(in);
  if (hooks_ != nullptr)
    for (const auto& [id, hook] : HookList<ForwardHook>(*hooks_))
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

void Module::check_new_name(const char* op, std::string_view name) const {
  if (name.empty() || name.find('.') != std::string_view::npos)
    throw KeyError(cat("[", op, "] a name must not be empty nor hold a dot; got ", quote(name)));
  if (has(name)) throw KeyError(cat("[", op, "] ", type_name(), " already has ", quote(name)));
}

void Module::register_parameter(std::string_view name, Tensor value) {
  check_new_name("register_parameter", name);
  if (value.defined() && !value.is_leaf())
    throw ValueError(cat("[register_parameter] ", quote(name), " is the result of an operation; detach() it first"));
  if (value.defined() && is_floating(value.dtype())) value.requires_grad_(true);
  parameters_.set(name, std::move(value));
}

void Module::register_buffer(std::string_view name, Tensor value, bool persistent) {
  if (!buffers_.contains(name)) check_new_name("register_buffer", name);
  set_buffer(name, std::move(value));
  if (persistent)
    transient_.erase(name);
  else
    transient_.set(name, true);
}

void Module::set_buffer(std::string_view name, Tensor value) {
  if (buffers_.contains(name))
    for (const auto& [key, derived] : derived_) value = derived->input(*this, name, value);
  buffers_.set(name, std::move(value));
}

void Module::add_module(std::string_view name, ModulePtr child) {
  if (child == nullptr) throw ValueError(cat("[add_module] ", quote(name), " is null"));
  const ModulePtr* old = children_.find(name);
  if (old == nullptr)
    check_new_name("add_module", name);
  else if (*old != child && old->use_count() > 1)
    note_replaced({{std::string(name), *old}});
  children_.set(name, std::move(child));
}

/// Handles find what stands under the name, so that nothing of theirs can be stale.
void Module::note_replaced(const std::vector<std::pair<std::string, ModulePtr>>& children) {
  std::erase_if(replaced_, [](const Replaced& r) { return r.module.expired(); });
  for (const auto& [name, child] : children)
    if (!anchor_.names(name)) replaced_.push_back({child.get(), child});
}

void Module::register_derived(std::string_view name, std::shared_ptr<Derived> derived) {
  check_new_name("register_derived", name);
  derived_.set(name, std::move(derived));
}

void Module::replace_derived(std::string_view name, std::shared_ptr<Derived> derived) {
  if (!derived_.contains(name)) throw KeyError(cat("[replace_derived] ", type_name(), " has no ", quote(name)));
  derived_.set(name, std::move(derived));
}

void Module::set_tensor(std::string_view name, Tensor value) {
  if (buffers_.contains(name)) return set_buffer(name, std::move(value));
  if (const auto* found = derived_.find(name); found != nullptr && (*found)->assign(*this, value)) return;
  if (!plain_.contains(name)) {
    if (parameters_.contains(name) || children_.contains(name) || derived_.contains(name))
      throw TypeError(cat("[set_tensor] ", quote(name), " of ", type_name(), " is not a plain tensor or buffer"));
    check_new_name("set_tensor", name);
  }
  plain_.set(name, std::move(value));
}

void Module::erase(std::string_view name) {
  transient_.erase(name);
  if (!parameters_.erase(name) && !buffers_.erase(name) && !children_.erase(name) && !plain_.erase(name) &&
      !derived_.erase(name))
    throw KeyError(cat("[erase] ", type_name(), " has no ", quote(name)));
}

const ModulePtr& Module::child(std::string_view name) const {
  if (const ModulePtr* found = children_.find(name)) return *found;
  std::string names;
  list_names(names, children_);
  throw KeyError(cat("[", type_name(), "] has no child ", quote(name), "; it has ", names.empty() ? "none" : names));
}

void Module::rename_parameter(std::string_view from, std::string to, std::size_t at) {
  if (!parameters_.contains(from))
    throw KeyError(cat("[rename_parameter] ", type_name(), " has no parameter ", quote(from)));
  if (from != to) check_new_name("rename_parameter", to);
  parameters_.rename(from, std::move(to), at);
}

void Module::order_parameters(const std::vector<std::string>& names) {
  std::set<std::string_view> seen;
  for (const std::string& name : names)
    if (!parameters_.contains(name) || !seen.insert(name).second)
      throw KeyError(
          cat("[order_parameters] names must be parameters of ", type_name(), ", each once; got ", quote(name)));
  parameters_.move_last(names);
}

void Module::derive(std::string_view name, std::shared_ptr<Derived> derived) {
  if (!parameters_.contains(name) && !buffers_.contains(name))
    throw KeyError(cat("[derive] ", type_name(), " has no parameter or buffer ", quote(name)));
  derived_.set(name, std::move(derived));  // all that may run out of memory comes before all that changes
  parameters_.erase(name);
  buffers_.erase(name);
  transient_.erase(name);
}

void Module::derive(std::string_view name, std::shared_ptr<Derived> derived, std::string original) {
  if (!parameters_.contains(name)) throw KeyError(cat("[derive] ", type_name(), " has no parameter ", quote(name)));
  check_new_name("derive", original);
  derived_.set(name, std::move(derived));
  parameters_.rename(name, std::move(original), SIZE_MAX);
}

void Module::underive(std::string_view name, Tensor value, bool buffer) {
  if (!derived_.contains(name)) throw KeyError(cat("[underive] ", type_name(), " has no derived tensor ", quote(name)));
  (buffer ? buffers_ : parameters_).set(name, std::move(value));
  derived_.erase(name);
}

HookHandle Module::register_forward_pre_hook(ForwardPreHook hook) { return attach(pre_hooks_, std::move(hook)); }
HookHandle Module::register_forward_hook(ForwardHook hook) { return attach(hooks_, std::move(hook)); }

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
