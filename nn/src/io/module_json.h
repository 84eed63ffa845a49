#pragma once
// Trees of modules as JSON and back. Private to nn.

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "coppice/engine/io/limits.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/module.h"
#include "io/argument_json.h"

namespace coppice::nn {

// Bounds of a description that nobody can raise: more than any network has, and little enough to be built in a moment.
inline constexpr std::size_t kMostModules = 20'000;
// One module of a few bytes may ask for thousands, as an LSTM of 1000 layers does.
inline constexpr std::size_t kMostTensors = 100'000;
// What Limits::name_bytes allows a tensor. A name stands in the path of every module below it.
inline constexpr std::size_t kLongestName = 4096;

/// A module with its children; masks are listed under "masked" and attached by the reader of the tensors.
/// @param arguments  writes the arguments, and collects the tensors among them
/// @param path  of the module, for messages
/// @throws NotSupported  for a tensor that is derived in a way that no file holds; and as ArgumentWriter::object()
[[nodiscard]] nlohmann::ordered_json module_to_json(const Module& module, ArgumentWriter& arguments,
                                                    const std::string& path = "");

/// How messages call a module.
[[nodiscard]] std::string module_path(const std::string& path);

/// What each_entry() calls: a module, its entry, and its dotted path.
using EntryVisitor = std::function<void(Module&, const nlohmann::ordered_json&, const std::string&)>;

/// Calls `visit` for a module built from `entry` and all below; a module in two places is visited twice.
void each_entry(Module& module, const nlohmann::ordered_json& entry, const EntryVisitor& visit,
                const std::string& path = "");

/// Gives the parameters the order that a model file lists, and freezes those that it names. @throws FormatError
void restore_parameters(Module& module, const nlohmann::ordered_json& entry, const std::string& source);

/// The steps listed beside a masked name. @throws FormatError
[[nodiscard]] std::vector<MaskStep> steps_from_json(const nlohmann::ordered_json& list, const std::string& source,
                                                    ArgumentReader& arguments);

/// @param arguments  of a model file, it allows the keys that only those hold ("masked")
/// @param keep_unknown  make an UnknownModule of a type that nobody registered
/// @throws FormatError  naming the entry; LimitError  beyond the bounds above or Limits::rank
[[nodiscard]] ModulePtr module_from_json(const nlohmann::ordered_json& entry, const std::string& source,
                                         ArgumentReader& arguments, const Limits& limits, bool keep_unknown = false);

}  // namespace coppice::nn
