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

/// Adds a type of the user's: `register_module("Scale", [](const Arguments& a) { return std::make_shared<Scale>(
/// a.number("factor", 1)); });`. Thread-safe. @throws KeyError  if the name exists
void register_module(std::string_view type, Constructor constructor);

[[nodiscard]] bool is_registered(std::string_view type);
/// Registered by this library, not by the program.
[[nodiscard]] bool is_built_in(std::string_view type);
[[nodiscard]] std::vector<std::string> registered_types();

/// A new module of a registered type.
/// @throws KeyError  for an unknown type, listing what is known, and for missing or unknown arguments; TypeError,
///         ValueError  for bad ones
[[nodiscard]] ModulePtr make_module(std::string_view type, const Arguments& arguments = {});

}  // namespace coppice::nn
