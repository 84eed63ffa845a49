#pragma once
/// Changing what a module holds, from outside its class.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/nn/derived.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// The slots of one module, all in one place: what pruning, parametrizations, packing and files do to a module goes
/// through here. A view that costs nothing to make, by `module.slots()`; it must not outlive the module.
///
/// The first four are also functions of Module, one line each: classes that build themselves call them in their
/// constructors, by PyTorch's words. A name or value that is refused is refused before anything changes.
class Slots {
 public:
  explicit Slots(Module& module) : module_(&module) {}

  /// As Module's.
  void register_parameter(std::string_view name, Tensor value);
  void register_buffer(std::string_view name, Tensor value, bool persistent = true);
  void add_module(std::string_view name, ModulePtr child);
  void set_tensor(std::string_view name, Tensor value);

  /// Another tensor, or none, in the place of a parameter. The tensor that is given becomes the parameter itself, not a
  /// copy: all its handles see requires_grad as the old one had it (floating types; on, if the slot was empty).
  /// Optimisers keep the old tensor.
  /// @throws KeyError  if there is no such parameter; ValueError  for the result of an operation
  void replace_parameter(std::string_view name, Tensor value);
  /// Moves a parameter, keeping its tensor object, to another name at position `at` of the order.
  /// @throws KeyError  if `from` is not a parameter or `to` is taken
  void rename_parameter(std::string_view from, std::string to, std::size_t at = SIZE_MAX);
  /// Moves these parameters behind all others, in this order. @throws KeyError  if one is not there, or named twice
  void order_parameters(const std::vector<std::string>& names);
  /// Takes a name out of whichever map holds it. @throws KeyError
  void erase(std::string_view name);

  /// A new derived tensor. @throws KeyError  if the name is empty, has a dot, or is taken
  void register_derived(std::string_view name, std::shared_ptr<Derived> derived);
  /// Another computation for an existing derived tensor. @throws KeyError
  void replace_derived(std::string_view name, std::shared_ptr<Derived> derived);
  /// Puts a derived tensor in the place of a parameter or buffer, which the caller keeps.
  /// @throws KeyError  if it is neither; with nothing changed, also if memory runs out
  void derive(std::string_view name, std::shared_ptr<Derived> derived);
  /// The same for a parameter that stays, as `original`, last in order. @throws KeyError  as above, or if it is taken
  void derive(std::string_view name, std::shared_ptr<Derived> derived, std::string original);
  /// Puts a parameter (as it is, frozen or not) or a buffer, last in order, in the place of a derived tensor.
  /// @throws KeyError  if there is no such derived tensor; with nothing changed, also if memory runs out
  void underive(std::string_view name, Tensor value, bool buffer);

  /// Moves all hooks of `from` here, behind those that are here; their handles take them off here then. If memory runs
  /// out, nothing has moved.
  void take_hooks(Module& from);
  /// The same of hooks that release_hooks() took off a module. Takes no memory where reserve_hooks() made room.
  void take_hooks(ModuleHooks& from);
  /// Takes all hooks off, for take_hooks(). Takes no memory.
  [[nodiscard]] ModuleHooks release_hooks() noexcept;
  /// Takes off the hooks for which `before` or `after` is true.
  void erase_hooks(const std::function<bool(const ForwardPreHook&)>& before,
                   const std::function<bool(const ForwardHook&)>& after);
  /// Room for so many hooks of each kind in all, which goes where the hooks go.
  void reserve_hooks(std::size_t count);

 private:
  void set_buffer(std::string_view name, Tensor value);
  void take_hooks(Hooks<ForwardPreHook>& before, Hooks<ForwardHook>& after);
  void check_new_name(const char* op, std::string_view name) const;

  Module* module_;
};

}  // namespace coppice::nn
