#pragma once
/// A child of a module as a member of its class, typed and never stale.

#include <concepts>
#include <memory>
#include <string_view>
#include <utility>

#include "coppice/nn/handle.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// A child that is found by its name at each call:
///
///     class Net final : public Implements<Net> {
///       Child<Linear> fc1{*this, "fc1", 784, 300};
///       Child<Linear> fc2{*this, "fc2", 300, 10};
///       Tensor forward(const Tensor& x) const override { return fc2(relu(fc1(x))); }
///       …
///
/// So it is right after load_model(), load_state_dict(), pack(), clone() and add_module(), where a member of type
/// shared_ptr<Linear> goes on computing with the module that was there before. A call works whatever module stands
/// under the name; `fc1->` only if it is a T.
///
/// A handle belongs to one module: clone() makes handles of the copy (also in containers such as std::vector), moving
/// keeps them, any other copy is a StateError when it is used. Calls are safe from many threads.
template <class T>
class Child : public detail::ChildHandle {
 public:
  /// Adds a new T(args...) to `owner` as child `name`. @throws KeyError  if the name is taken, empty or has a dot
  template <class... Args>
  requires std::constructible_from<T, Args...> Child(Module& owner, std::string_view name, Args&&... args)
      : ChildHandle(owner, name, std::make_shared<T>(std::forward<Args>(args)...)) {}
  /// Adds `child`, which may be of a class derived from T. @throws KeyError  as above; ValueError  if it is null
  Child(Module& owner, std::string_view name, std::shared_ptr<T> child) : ChildHandle(owner, name, std::move(child)) {}
  Child(const Child&) = default;
  Child(Child&&) noexcept = default;

  /// @throws as module() and the child do
  Tensor operator()(const Tensor& x) const { return (*module())(x); }
  TensorList operator()(const TensorList& inputs) const { return (*module())(inputs); }

  /// The child as a T. @throws TypeError  if it is of another type now, such as PackedLinear; as module()
  [[nodiscard]] std::shared_ptr<T> get() const {
    ModulePtr found = module();
    auto typed = std::dynamic_pointer_cast<T>(found);
    if (typed == nullptr) wrong_type(*found, wanted());
    return typed;
  }
  [[nodiscard]] std::shared_ptr<T> operator->() const { return get(); }

 private:
  [[nodiscard]] static constexpr std::string_view wanted() {
    if constexpr (requires { std::string_view(T::kType); })
      return T::kType;
    else
      return "module of the wanted class";
  }
};

}  // namespace coppice::nn
