#include "call.h"

#include <algorithm>
#include <optional>

#include "coppice/engine/checked.h"

namespace coppice::nn {
namespace {

/// Dotted path of `wanted` below `root`.
std::optional<std::string> path_below(const Module& root, const Module* wanted) {
  for (const auto& [name, child] : root.children())
    if (child.get() == wanted) return name;
  for (const auto& [path, module] : root.named_modules())
    if (module == wanted) return path;
  return std::nullopt;
}

}  // namespace

/// From the outermost module whose tree holds the next one, and so on; a module from elsewhere begins a path anew.
std::string Call::path() const {
  std::string out;
  for (const Call* call = this; call->above_ != nullptr; call = call->above_) {
    const auto part = path_below(*call->above_->module_, call->module_);
    if (!part) break;
    if (!part->empty()) out = out.empty() ? *part : cat(*part, ".", out);
  }
  return out;
}

void Call::place(Error& error) const noexcept {
  if (error.has_place()) return;
  try {
    const std::string at = path();
    if (!at.empty()) error.set_place(cat("in ", quote(at), " (", module_->type_name(), "): "));
  } catch (...) {  // no memory: a message without a place is better than none
  }
}

void Call::check_current() const {
  const Module& caller = *above_->module_;
  const bool replaced = std::ranges::any_of(caller.replaced_, [&](const Module::Replaced& r) {
    return r.address == module_ && r.module.lock() != nullptr;  // an address may be another module's by now
  });
  if (!replaced || path_below(caller, module_)) return;
  throw StateError(
      cat("[", caller.type_name(), "] calls a ", module_->type_name(),
          " that is its child no more: clone(), pack(), a file or add_module() put another in its place, and "
          "a member still holds the old one. Keep children as nn::Child, or find them by child(name)"));
}

std::string called_as(const Module& module) {
  std::string at;
  if (Call::innermost != nullptr && Call::innermost->module_ == &module) at = Call::innermost->path();
  return at.empty() ? cat("a ", module.type_name()) : cat(quote(at), " (", module.type_name(), ")");
}

}  // namespace coppice::nn
