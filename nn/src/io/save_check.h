#pragma once
// Whether a model file that is about to be written could be read. Private to nn.

#include <nlohmann/json.hpp>
#include <string>

#include "coppice/engine/io/named_tensors.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// Checks all that a reader would refuse, whatever limits it is given, before a file stands there that nobody can load.
/// @param description  of `model`, as module_to_json() makes it
/// @param members  the tensors of arguments that it names
/// @throws NotSupported  for tensors, children and parametrizations that a new module of the type does not take;
///         ValueError  beyond a bound of module_json.h
void check_savable(const Module& model, const nlohmann::ordered_json& description, const NamedTensors& members);

/// `document` as text. @throws ValueError  for what parse_strict() would refuse, and for texts that are not UTF-8
[[nodiscard]] std::string readable_text(const nlohmann::ordered_json& document);

}  // namespace coppice::nn
