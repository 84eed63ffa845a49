#include "coppice/nn/slots.h"

#include <set>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"

namespace coppice::nn {

void Slots::check_new_name(const char* op, std::string_view name) const {
  if (name.empty() || name.find('.') != std::string_view::npos)
    throw KeyError(cat("[", op, "] a name must not be empty nor hold a dot; got ", quote(name)));
  if (module_->has(name)) throw KeyError(cat("[", op, "] ", module_->type_name(), " already has ", quote(name)));
}

void Slots::register_parameter(std::string_view name, Tensor value) {
  check_new_name("register_parameter", name);
  if (value.defined() && !value.is_leaf())
    throw ValueError(cat("[register_parameter] ", quote(name), " is the result of an operation; detach() it first"));
  if (value.defined() && is_floating(value.dtype())) value.requires_grad_(true);
  module_->parameters_.set(name, std::move(value));
}

void Slots::register_buffer(std::string_view name, Tensor value, bool persistent) {
  if (!module_->buffers_.contains(name)) check_new_name("register_buffer", name);
  set_buffer(name, std::move(value));
  if (persistent)
    module_->transient_.erase(name);
  else
    module_->transient_.set(name, true);
}

void Slots::set_buffer(std::string_view name, Tensor value) {
  if (module_->buffers_.contains(name))
    for (const auto& [key, derived] : module_->derived_) value = derived->input(*module_, name, value);
  module_->buffers_.set(name, std::move(value));
}

void Slots::add_module(std::string_view name, ModulePtr child) {
  if (child == nullptr) throw ValueError(cat("[add_module] ", quote(name), " is null"));
  const ModulePtr* old = module_->children_.find(name);
  if (old == nullptr)
    check_new_name("add_module", name);
  else if (*old != child && old->use_count() > 1)
    module_->note_replaced({{std::string(name), *old}});
  module_->children_.set(name, std::move(child));
}

void Slots::set_tensor(std::string_view name, Tensor value) {
  if (module_->buffers_.contains(name)) return set_buffer(name, std::move(value));
  if (const auto* found = module_->derived_.find(name); found != nullptr && (*found)->assign(*module_, value)) return;
  if (!module_->plain_.contains(name)) {
    if (module_->parameters_.contains(name) || module_->children_.contains(name) || module_->derived_.contains(name))
      throw TypeError(
          cat("[set_tensor] ", quote(name), " of ", module_->type_name(), " is not a plain tensor or buffer"));
    check_new_name("set_tensor", name);
  }
  module_->plain_.set(name, std::move(value));
}

void Slots::replace_parameter(std::string_view name, Tensor value) {
  Tensor* slot = module_->parameters_.find(name);
  if (slot == nullptr)
    throw KeyError(cat("[replace_parameter] ", module_->type_name(), " has no parameter ", quote(name)));
  if (value.defined() && !value.is_leaf())
    throw ValueError(cat("[replace_parameter] ", quote(name), " is the result of an operation; detach() it first"));
  if (value.defined() && is_floating(value.dtype())) value.requires_grad_(!slot->defined() || slot->requires_grad());
  *slot = std::move(value);
}

void Slots::rename_parameter(std::string_view from, std::string to, std::size_t at) {
  if (!module_->parameters_.contains(from))
    throw KeyError(cat("[rename_parameter] ", module_->type_name(), " has no parameter ", quote(from)));
  if (from != to) check_new_name("rename_parameter", to);
  module_->parameters_.rename(from, std::move(to), at);
}

void Slots::order_parameters(const std::vector<std::string>& names) {
  std::set<std::string_view> seen;
  for (const std::string& name : names)
    if (!module_->parameters_.contains(name) || !seen.insert(name).second)
      throw KeyError(cat("[order_parameters] names must be parameters of ", module_->type_name(), ", each once; got ",
                         quote(name)));
  module_->parameters_.move_last(names);
}

void Slots::erase(std::string_view name) {
  module_->transient_.erase(name);
  if (!module_->parameters_.erase(name) && !module_->buffers_.erase(name) && !module_->children_.erase(name) &&
      !module_->plain_.erase(name) && !module_->derived_.erase(name))
    throw KeyError(cat("[erase] ", module_->type_name(), " has no ", quote(name)));
}

void Slots::register_derived(std::string_view name, std::shared_ptr<Derived> derived) {
  check_new_name("register_derived", name);
  module_->derived_.set(name, std::move(derived));
}

void Slots::replace_derived(std::string_view name, std::shared_ptr<Derived> derived) {
  if (!module_->derived_.contains(name))
    throw KeyError(cat("[replace_derived] ", module_->type_name(), " has no ", quote(name)));
  module_->derived_.set(name, std::move(derived));
}

void Slots::derive(std::string_view name, std::shared_ptr<Derived> derived) {
  if (!module_->parameters_.contains(name) && !module_->buffers_.contains(name))
    throw KeyError(cat("[derive] ", module_->type_name(), " has no parameter or buffer ", quote(name)));
  module_->derived_.set(name, std::move(derived));  // all that may run out of memory comes before all that changes
  module_->parameters_.erase(name);
  module_->buffers_.erase(name);
  module_->transient_.erase(name);
}

void Slots::derive(std::string_view name, std::shared_ptr<Derived> derived, std::string original) {
  if (!module_->parameters_.contains(name))
    throw KeyError(cat("[derive] ", module_->type_name(), " has no parameter ", quote(name)));
  check_new_name("derive", original);
  module_->derived_.set(name, std::move(derived));
  module_->parameters_.rename(name, std::move(original), SIZE_MAX);
}

void Slots::underive(std::string_view name, Tensor value, bool buffer) {
  if (!module_->derived_.contains(name))
    throw KeyError(cat("[underive] ", module_->type_name(), " has no derived tensor ", quote(name)));
  (buffer ? module_->buffers_ : module_->parameters_).set(name, std::move(value));
  module_->derived_.erase(name);
}

void Slots::take_hooks(Hooks<ForwardPreHook>& before, Hooks<ForwardHook>& after) {
  module_->pre_hooks_.make_room(before);  // for both kinds before one of them moves
  module_->hooks_.make_room(after);
  module_->pre_hooks_.take(before);
  module_->hooks_.take(after);
}

void Slots::take_hooks(Module& from) { take_hooks(from.pre_hooks_, from.hooks_); }
void Slots::take_hooks(ModuleHooks& from) { take_hooks(from.before, from.after); }

ModuleHooks Slots::release_hooks() noexcept { return {std::move(module_->pre_hooks_), std::move(module_->hooks_)}; }

void Slots::erase_hooks(const std::function<bool(const ForwardPreHook&)>& before,
                        const std::function<bool(const ForwardHook&)>& after) {
  module_->pre_hooks_.erase_if(before);
  module_->hooks_.erase_if(after);
}

void Slots::reserve_hooks(std::size_t count) {
  module_->pre_hooks_.reserve(count);
  module_->hooks_.reserve(count);
}

}  // namespace coppice::nn
