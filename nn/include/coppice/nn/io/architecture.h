#pragma once
/// Modules from a description in JSON.

#include <filesystem>
#include <string>
#include <string_view>

#include "coppice/engine/io/limits.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// A module from `{"type": "Sequential", "modules": [{"type": "Linear", "name": "fc", "args": {"in_features": 8,
/// …}}]}`.
///
/// `args` are PyTorch's argument names; children without a `name` are called by their position. Weights have the
/// initial values of a fresh layer.
/// @param source  what messages call the text
/// @throws FormatError  naming the entry ("modules[2] (Conv2d)") and what is wrong with it; LimitError (nesting)
[[nodiscard]] ModulePtr parse_architecture(std::string_view json, const std::string& source = "architecture",
                                           const Limits& limits = {});

/// The same from a file of at most Limits::header_bytes. @throws IoError, FormatError, LimitError
[[nodiscard]] ModulePtr read_architecture(const std::filesystem::path& path, const Limits& limits = {});

}  // namespace coppice::nn
