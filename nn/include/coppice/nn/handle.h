#pragma once
/// How members of a module that name its children find it, also in its copies. Used by nn::Child and Module.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::nn {

class Module;
using ModulePtr = std::shared_ptr<Module>;

namespace detail {

/// Where the handles of one module find it. The module's destructor empties it.
struct Home {
  Module* module = nullptr;
  std::vector<std::string> names;  // of the children that handles were made for
};

/// A module's part of it. A copy of the module has a home of its own.
class Anchor {
 public:
  Anchor() = default;
  Anchor(const Anchor& other);
  Anchor& operator=(const Anchor&) = delete;
  ~Anchor();
  /// The home, made when it is first asked for.
  [[nodiscard]] const std::shared_ptr<Home>& home(Module& owner);
  [[nodiscard]] bool names(std::string_view child) const;

 private:
  friend class HandleCopies;
  std::shared_ptr<Home> home_;
};

/// While clone() copies a module: copies of its handles are handles of the copy.
class HandleCopies {
 public:
  explicit HandleCopies(const Anchor& of);
  ~HandleCopies();
  HandleCopies(const HandleCopies&) = delete;
  HandleCopies& operator=(const HandleCopies&) = delete;
  /// Tells the handles where the copy is, once it is complete.
  void settle(Module& copy) const;

 private:
  friend class Anchor;
  friend class ChildHandle;
  const Anchor* of_;
  std::shared_ptr<Home> from_, to_;
  HandleCopies* above_;
};

/// What nn::Child does whatever its type.
class ChildHandle {
 public:
  /// The child as it is now.
  /// @throws KeyError  if the module has none of that name any more; StateError  if the handle was copied out of its
  ///         module, or the module is gone
  [[nodiscard]] ModulePtr module() const;
  [[nodiscard]] const std::string& name() const { return name_; }

 protected:
  /// @throws KeyError  if the name is taken, as Module::add_module()
  ChildHandle(Module& owner, std::string_view name, ModulePtr child);
  /// Inside clone() a handle of the copy; elsewhere one that belongs nowhere.
  ChildHandle(const ChildHandle& other);
  ChildHandle(ChildHandle&& other) noexcept = default;
  ChildHandle& operator=(const ChildHandle&) = delete;
  ~ChildHandle() = default;
  [[noreturn]] void wrong_type(const Module& found, std::string_view wanted) const;

 private:
  std::shared_ptr<Home> home_;
  std::string name_;
};

}  // namespace detail
}  // namespace coppice::nn
