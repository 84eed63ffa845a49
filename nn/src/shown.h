#pragma once
// Texts of strangers inside other text. Private to nn.

#include <string>
#include <string_view>

#include "coppice/engine/checked.h"

namespace coppice::nn {

/// As quote() shows it, without the quotes: safe for a terminal, and cut when it is long.
[[nodiscard]] inline std::string shown(std::string_view text) {
  const std::string quoted = quote(text);
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace coppice::nn
