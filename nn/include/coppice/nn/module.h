#pragma once
/// Module: named tensors, named children, and a function of tensors.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coppice/engine/dtype.h"
#include "coppice/engine/tensor.h"
#include "coppice/nn/arguments.h"
#include "coppice/nn/handle.h"
#include "coppice/nn/hooks.h"
#include "coppice/nn/ordered_map.h"

namespace coppice::nn {

using NamedTensor = std::pair<std::string, Tensor>;

class Derived;
class Slots;
namespace quant {
struct QConfig;
using QConfigPtr = std::shared_ptr<const QConfig>;
}  // namespace quant

/// Base of all layers and containers. Held by shared_ptr; copied only by clone().
///
/// A name belongs to one of five ordered maps: parameters (trained), buffers (state), children, plain tensors
/// (neither trained nor saved) and derived tensors (computed on reading; see nn/derived.h). A parameter slot may be
/// empty, as the bias of Linear(bias = false): it is then listed nowhere. Layers read their tensors by
/// tensor("weight") in every call, so that whatever replaces a slot is seen.
///
/// What a class needs to build itself stands here under PyTorch's words. Whoever works on a module from outside
/// (pruning, parametrizations, files, swapping one type for another) changes it by slots(): see nn/slots.h.
///
/// Children too are to be found by name in every call: by nn::Child or child("fc1"). A file, pack() and add_module()
/// put other modules under the name, of other types perhaps, and a clone has its own. A shared_ptr that a class keeps
/// beside is right only as long as none of that happens. Calling in forward() what it holds afterwards is a StateError
/// where it was a direct child; reading tensors of it, and all that is kept of deeper modules, goes unnoticed. A
/// reference or a plain pointer to a child is unsafe: what it names may be gone.
///
/// A const module in eval mode may be called from several threads at once, unless observers watch it: these write what
/// they see (nn/quant/observer.h).
class Module : public std::enable_shared_from_this<Module> {
 public:
  virtual ~Module() = default;
  Module& operator=(const Module&) = delete;

  /// The registered name, such as "Linear".
  [[nodiscard]] virtual std::string_view type_name() const = 0;
  /// What the registry needs to build a module like this one, under PyTorch's argument names.
  [[nodiscard]] virtual Arguments arguments() const { return {}; }

  /// Pre-hooks in order, forward, hooks in order. An Error that comes out of a module inside others' calls says where
  /// it was: "in 'features.3' (Conv2d): [conv2d] …", with the path from the outermost one that is called.
  TensorList operator()(const TensorList& inputs) const;
  /// The same for one tensor in and the first tensor out. @throws StateError  if there is no output
  Tensor operator()(const Tensor& input) const;

  /// Current value of a derived, plain, parameter or buffer tensor, looked up in that order.
  /// @throws KeyError  if there is none, naming what there is; an empty slot counts as none
  [[nodiscard]] Tensor tensor(std::string_view name) const;
  /// The same, undefined where there is none.
  [[nodiscard]] Tensor find_tensor(std::string_view name) const;

  /// Whether any of the five maps holds the name, an empty parameter slot included.
  [[nodiscard]] bool has(std::string_view name) const;

  /// A new parameter at the end of the order, or an empty slot for an undefined tensor. It is the same tensor object
  /// afterwards, with requires_grad on (floating types).
  /// @throws KeyError  if the name is empty, has a dot, or is taken
  void register_parameter(std::string_view name, Tensor value);
  /// Replaces the value of an existing buffer, as set_tensor(). Only persistent buffers are in the state dict.
  /// @throws KeyError
  void register_buffer(std::string_view name, Tensor value, bool persistent = true);
  /// Replaces an existing child of that name in its place, of whatever type.
  /// @throws KeyError  as above; ValueError  if `child` is null
  void add_module(std::string_view name, ModulePtr child);
  /// Sets a plain tensor or buffer, or a derived tensor that can be written (see nn/parametrize.h). A mask may have any
  /// shape that broadcasts to that of its original, as in PyTorch, and is stored repeated to it.
  /// @throws TypeError  if the name is a parameter, a child, or a derived tensor of another kind; ShapeError  for a
  ///         mask that does not broadcast; with nothing changed
  void set_tensor(std::string_view name, Tensor value);
  /// Everything else that may change: removing, renaming, replacing, deriving. Include nn/slots.h.
  [[nodiscard]] Slots slots();

  [[nodiscard]] const OrderedMap<Tensor>& own_parameters() const { return parameters_; }
  [[nodiscard]] const OrderedMap<Tensor>& own_buffers() const { return buffers_; }
  [[nodiscard]] bool is_persistent(std::string_view buffer) const { return !transient_.contains(buffer); }
  [[nodiscard]] const OrderedMap<ModulePtr>& children() const { return children_; }
  /// Tensors that are neither trained nor saved, as set_tensor() makes them.
  [[nodiscard]] const OrderedMap<Tensor>& plain_tensors() const { return plain_; }
  [[nodiscard]] const OrderedMap<std::shared_ptr<Derived>>& derived() const { return derived_; }
  /// @throws KeyError
  [[nodiscard]] const ModulePtr& child(std::string_view name) const;
  /// Whether the class names this child by an nn::Child: then a file may put any type there.
  [[nodiscard]] bool has_handle(std::string_view child) const { return anchor_.names(child); }

  /// Every module once, itself first, in pre-order; dotted paths, "" for itself.
  [[nodiscard]] std::vector<std::pair<std::string, const Module*>> named_modules(std::string_view prefix = "") const;
  [[nodiscard]] std::vector<std::pair<std::string, Module*>> named_modules(std::string_view prefix = "");
  /// Every tensor object once, along named_modules().
  [[nodiscard]] std::vector<NamedTensor> named_parameters(std::string_view prefix = "") const;
  [[nodiscard]] std::vector<NamedTensor> named_buffers(std::string_view prefix = "") const;
  [[nodiscard]] TensorList parameters() const;
  /// The module at a dotted path; "" is this one. Null if there is none.
  [[nodiscard]] Module* find_module(std::string_view path);
  [[nodiscard]] const Module* find_module(std::string_view path) const;

  HookHandle register_forward_pre_hook(ForwardPreHook hook);
  HookHandle register_forward_hook(ForwardHook hook);
  [[nodiscard]] const Hooks<ForwardPreHook>& forward_pre_hooks() const { return pre_hooks_; }
  [[nodiscard]] const Hooks<ForwardHook>& forward_hooks() const { return hooks_; }

  /// Training mode of this module and all below. Takes no memory, so that destructors may call it.
  void train(bool on = true) noexcept;
  void eval() noexcept { train(false); }
  [[nodiscard]] bool training() const { return training_; }
  /// The mode of this module alone.
  void set_training(bool on) noexcept { training_ = on; }
  /// Whether state_dict() lists the tensors of this module and of those below it. Loading expects them all the same,
  /// and model files hold them.
  [[nodiscard]] virtual bool saves_state() const { return true; }
  /// Whether a saved value of this buffer may have another shape than the present one, as what an observer saw of each
  /// channel.
  [[nodiscard]] virtual bool resizes(std::string_view /*buffer*/) const { return false; }
  /// How this module is to be quantised (see nn/quant/qconfig.h): nothing where nobody said, null where it is not to
  /// be. clone() keeps it, files do not.
  [[nodiscard]] const std::optional<quant::QConfigPtr>& qconfig() const { return qconfig_; }
  void set_qconfig(std::optional<quant::QConfigPtr> qconfig) { qconfig_ = std::move(qconfig); }
  void requires_grad_(bool on);
  /// Drops all gradients (or fills those that exist with zeros).
  void zero_grad(bool set_to_none = true);
  /// Converts floating parameters and buffers, and their gradients, in place, keeping which tensor is which.
  /// @throws DtypeError
  void to(Dtype dtype);

  /// Deep copy: own tensors, children and derived tensors; what is shared inside stays shared inside the copy.
  /// Gradients and computation graphs are not copied; hooks that are plain functions are shared.
  [[nodiscard]] ModulePtr clone() const;

  /// Type, arguments and children as an indented text.
  [[nodiscard]] std::string describe() const;

 protected:
  Module() = default;
  Module(const Module&) = default;

  [[nodiscard]] virtual TensorList forward(const TensorList& inputs) const = 0;
  /// A copy that shares all tensors and children; Implements provides it.
  [[nodiscard]] virtual ModulePtr shallow_copy() const = 0;

 private:
  friend class Call;
  friend class Slots;
  friend class detail::ChildHandle;
  struct CopyMemo;
  /// A child that another has taken the place of.
  struct Replaced {
    const Module* address;
    std::weak_ptr<const Module> module;
  };
  [[nodiscard]] ModulePtr copy_with(CopyMemo& memo) const;
  [[nodiscard]] TensorList run(const TensorList& inputs) const;
  [[nodiscard]] const std::shared_ptr<detail::Home>& home_of_handles() { return anchor_.home(*this); }
  void note_replaced(const std::vector<std::pair<std::string, ModulePtr>>& children);
  void train_below(bool on, std::uint64_t walk) noexcept;

  OrderedMap<Tensor> parameters_;
  OrderedMap<Tensor> buffers_;
  OrderedMap<bool> transient_;  // names of buffers that are not saved
  OrderedMap<ModulePtr> children_;
  OrderedMap<Tensor> plain_;
  OrderedMap<std::shared_ptr<Derived>> derived_;
  Hooks<ForwardPreHook> pre_hooks_;
  Hooks<ForwardHook> hooks_;
  std::optional<quant::QConfigPtr> qconfig_;
  std::vector<Replaced> replaced_;  // that somebody may still hold
  detail::Anchor anchor_;
  bool training_ = true;
  std::uint64_t walk_ = 0;  // number of the last train() that came by: what is shared is visited once
};

/// One tensor in, one tensor out.
class UnaryModule : public Module {
 protected:
  [[nodiscard]] virtual Tensor forward(const Tensor& x) const = 0;
  [[nodiscard]] TensorList forward(const TensorList& inputs) const final;
};

/// Gives a module its name and its way of being copied:
/// `class Linear final : public Implements<Linear> { public: static constexpr std::string_view kType = "Linear"; … }`.
template <class Self, class Base = UnaryModule>
class Implements : public Base {
 public:
  using Base::Base;
  [[nodiscard]] std::string_view type_name() const override { return Self::kType; }

 protected:
  [[nodiscard]] ModulePtr shallow_copy() const override {
    return std::make_shared<Self>(static_cast<const Self&>(*this));
  }
};

}  // namespace coppice::nn
