#pragma once
/// Functions called around a module's forward.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "coppice/engine/tensor.h"

namespace coppice::nn {

class Module;

/// Called before forward. Nothing leaves the inputs as they are; a list replaces them.
using ForwardPreHook = std::function<std::optional<TensorList>(const Module&, const TensorList& inputs)>;
/// Called after forward with the inputs that forward saw. Nothing leaves the outputs; a list replaces them.
using ForwardHook =
    std::function<std::optional<TensorList>(const Module&, const TensorList& inputs, const TensorList& outputs)>;

namespace detail {
/// The id of the next hook in this process; all kinds share the count.
[[nodiscard]] std::uint64_t next_hook_id();
}  // namespace detail

/// Takes its hook off again, wherever that went with Hooks::take(). Refers weakly to the hook: it may outlive the
/// module, and `remove` may be called repeatedly.
class HookHandle {
 public:
  HookHandle() = default;
  HookHandle(std::uint64_t id, std::function<void()> take_off) : id_(id), take_off_(std::move(take_off)) {}
  [[nodiscard]] std::uint64_t id() const { return id_; }
  void remove() {
    if (take_off_) std::exchange(take_off_, nullptr)();
  }

 private:
  std::uint64_t id_ = 0;
  std::function<void()> take_off_;
};

/// Hooks of one kind with their ids, in the order in which they are called.
template <class Hook>
using HookList = std::vector<std::pair<std::uint64_t, Hook>>;

/// The hooks of one kind that a module has. A copy has hooks of its own: taking one off leaves the other's as it is.
template <class Hook>
class Hooks {
 public:
  Hooks() = default;
  Hooks(const Hooks& other) {
    if (other.entries_ == nullptr) return;
    for (const auto& entry : *other.entries_) (void)add(entry->id, entry->hook);
  }
  /// The hooks themselves, with their handles; takes no memory.
  Hooks(Hooks&&) noexcept = default;
  Hooks& operator=(const Hooks&) = delete;
  Hooks& operator=(Hooks&&) noexcept = default;

  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] std::size_t size() const { return entries_ == nullptr ? 0 : entries_->size(); }
  /// As they are now. A call walks this, so that a hook may remove itself or others.
  [[nodiscard]] HookList<Hook> list() const {
    HookList<Hook> out;
    if (entries_ != nullptr)
      for (const auto& entry : *entries_) out.emplace_back(entry->id, entry->hook);
    return out;
  }
  /// Behind all others.
  HookHandle add(Hook hook) { return add(detail::next_hook_id(), std::move(hook)); }
  /// Takes off those that `match`. Their handles find nothing to remove.
  template <class Match>
  void erase_if(Match match) {
    if (entries_ != nullptr) std::erase_if(*entries_, [&](const auto& entry) { return match(entry->hook); });
  }
  /// Room for so many in all, which goes where the hooks go.
  void reserve(std::size_t count) {
    if (count == 0) return;
    if (entries_ == nullptr) entries_ = std::make_shared<Entries>();
    entries_->reserve(count);
  }
  /// Room for what take() would move here.
  void make_room(const Hooks& from) {
    if (&from != this && !empty() && !from.empty()) entries_->reserve(size() + from.size());
  }
  /// Moves all hooks of `from` behind the own ones; their ids and handles stay good. Takes no memory where there is
  /// room for all, or where there are no own ones.
  void take(Hooks& from) {
    if (&from == this || from.empty()) return;
    if (empty()) {
      entries_ = std::move(from.entries_);
      return;
    }
    make_room(from);
    // Nothing from here on takes memory.
    for (auto& entry : *from.entries_) {
      entry->home = entries_;
      entries_->push_back(std::move(entry));
    }
    from.entries_->clear();
  }

 private:
  struct Entry;
  using Entries = std::vector<std::shared_ptr<Entry>>;
  struct Entry {
    std::uint64_t id;
    Hook hook;
    std::weak_ptr<Entries> home;
  };
  HookHandle add(std::uint64_t id, Hook hook) {
    if (entries_ == nullptr) entries_ = std::make_shared<Entries>();
    auto entry = std::make_shared<Entry>(Entry{id, std::move(hook), entries_});
    HookHandle handle(id, [weak = std::weak_ptr(entry)] {
      const auto alive = weak.lock();
      if (alive == nullptr) return;
      if (const auto home = alive->home.lock()) std::erase(*home, alive);
    });
    entries_->push_back(std::move(entry));
    return handle;
  }

  std::shared_ptr<Entries> entries_;
};

/// The hooks of a module, of both kinds, on their way to another.
struct ModuleHooks {
  Hooks<ForwardPreHook> before;
  Hooks<ForwardHook> after;
};

/// Removes its hook when it goes out of scope.
class ScopedHook {
 public:
  explicit ScopedHook(HookHandle handle) : handle_(std::move(handle)) {}
  ~ScopedHook() { handle_.remove(); }
  ScopedHook(const ScopedHook&) = delete;
  ScopedHook& operator=(const ScopedHook&) = delete;

 private:
  HookHandle handle_;
};

}  // namespace coppice::nn
