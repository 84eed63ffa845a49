#pragma once
/// Functions by name: how a setting that is a function stands in a file and comes back from it.

#include "coppice/engine/cxx20.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <typeindex>
#include <vector>

namespace coppice {

/// A function as an argument (engine/arguments.h): the name under which it is registered. Equal if the names are.
struct NamedFunction {
  std::string name;
  friend bool operator==(const NamedFunction&, const NamedFunction&) = default;
};

namespace detail {
void add_function(std::string_view name, std::type_index signature, std::shared_ptr<const void> function);
[[nodiscard]] std::shared_ptr<const void> find_function(std::string_view name, std::type_index signature);
}  // namespace detail

/// Lets files and settings name a function: `register_function<Tensor(const Tensor&)>("my.halved", halved)`. A file may
/// ask for any function of the signature that a setting has, so that none of them should do more than compute. When the
/// meaning of a function changes it needs another name: "my.halved.2". Thread-safe.
/// @param name  parts of a-z, 0-9 and _ with dots between them, two at least; "coppice" is this library's first part
/// @throws ValueError  for another name, or no function; KeyError  if the name is taken
template <class Signature>
void register_function(std::string_view name, std::function<Signature> function) {
  std::shared_ptr<const void> held;
  if (function) held = std::make_shared<const std::function<Signature>>(std::move(function));
  detail::add_function(name, typeid(Signature), std::move(held));
}

/// The function that is registered under `name`. Thread-safe.
/// @throws KeyError  if there is none, listing what is registered; TypeError  if it has another signature
template <class Signature>
[[nodiscard]] std::function<Signature> registered_function(std::string_view name) {
  return *static_cast<const std::function<Signature>*>(detail::find_function(name, typeid(Signature)).get());
}

[[nodiscard]] bool is_function(std::string_view name);
/// All names, sorted.
[[nodiscard]] std::vector<std::string> function_names();

}  // namespace coppice
