#pragma once
// Trees of modules as JSON and back. Private to nn.

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "coppice/nn/masked.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// A module with its children; masks are listed under "masked" and attached by the reader of the tensors.
[[nodiscard]] nlohmann::ordered_json module_to_json(const Module& module);

/// Calls `visit` for a module built from `entry` and all below, with their entries.
void each_entry(Module& module, const nlohmann::ordered_json& entry,
                const std::function<void(Module&, const nlohmann::ordered_json&)>& visit);

/// Gives the parameters the order that a model file lists, and freezes those that it names. @throws FormatError
void restore_parameters(Module& module, const nlohmann::ordered_json& entry, const std::string& source);

/// The steps listed beside a masked name. @throws FormatError
[[nodiscard]] std::vector<MaskStep> steps_from_json(const nlohmann::ordered_json& list, const std::string& source);

/// @param where  entry and source, for messages
/// @param model_file  allow the keys that only model files hold ("masked")
/// @throws FormatError  naming the entry
[[nodiscard]] ModulePtr module_from_json(const nlohmann::ordered_json& entry, const std::string& source,
                                         bool model_file);

}  // namespace coppice::nn
