#pragma once
/// Patterns on names of tensors: one rule wherever some of a model's or a file's tensors are chosen.

#include <string_view>

namespace coppice::nn {

/// Whether a pattern of '*', '?' and plain characters is the whole text. Cost: linear in text times pattern.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view text);

/// Whether a pattern names a tensor, by its own name or by the public one (nn/masks/names.h): "0.weight" names
/// "0.weight_orig" and "0.parametrizations.weight.original" too.
[[nodiscard]] bool names_tensor(std::string_view pattern, std::string_view name);

}  // namespace coppice::nn
