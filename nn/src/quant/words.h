#pragma once
// Types and schemes by their words. Private to the library.

#include <string_view>

#include "coppice/engine/qparams.h"

namespace coppice::nn::quant {

/// @throws ValueError  naming the word
[[nodiscard]] Dtype dtype_of_word(std::string_view word);
[[nodiscard]] QScheme qscheme_of_word(std::string_view word);

}  // namespace coppice::nn::quant
