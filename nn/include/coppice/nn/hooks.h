#pragma once
/// Functions called around a module's forward.

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

/// Hooks of one kind in order of registration. A call walks a copy, so that a hook may remove itself or others.
template <class Hook>
using HookList = std::vector<std::pair<std::uint64_t, Hook>>;

/// Takes its hook off again. Refers weakly to the module: it may outlive it, and `remove` may be called repeatedly.
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
