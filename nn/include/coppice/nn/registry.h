#pragma once
/// Constructors of modules by type name: how files and clones become objects again.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/nn/module.h"

namespace coppice::nn {

/// Builds a module from its arguments; unread arguments are refused by make_module.
using Constructor = std::function<ModulePtr(const Arguments&)>;

/// What readers of files may rely on, and what a file may make of a type. The defaults are those of a program's types:
/// whoever registers one answers for what it does with any input.
struct TypeFlags {
  /// May parametrize a tensor in a file. Of this library's types only those that keep the shape may: with others a
  /// small file could ask for a product of any size.
  bool parametrizes = true;
  /// What it makes of a tensor has the same shape and type, so that a reader need not compute it to know.
  bool keeps_shape = false;
  /// May be given children in a file where it has tensors of its own. Those of this library would never call them.
  bool takes_modules = true;
};

/// Adds a type of the user's: `register_module("Scale", [](const Arguments& a) { return std::make_shared<Scale>(
/// a.number("factor", 1)); });`. Thread-safe. @throws KeyError  if the name exists
void register_module(std::string_view type, Constructor constructor, const TypeFlags& flags = {});

/// The flags that a type was registered with; the defaults for one that nobody registered.
[[nodiscard]] TypeFlags flags_of(std::string_view type);

[[nodiscard]] bool is_registered(std::string_view type);
/// Registered by this library, not by the program.
[[nodiscard]] bool is_built_in(std::string_view type);
[[nodiscard]] std::vector<std::string> registered_types();

/// A new module of a registered type.
/// @throws KeyError  for an unknown type, listing what is known, and for missing or unknown arguments; TypeError,
///         ValueError  for bad ones
[[nodiscard]] ModulePtr make_module(std::string_view type, const Arguments& arguments = {});

}  // namespace coppice::nn
