#include "coppice/nn/name_pattern.h"

#include <cstddef>

#include "coppice/nn/masks/names.h"

namespace coppice::nn {

bool matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {  // let the last star take one more character
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool names_tensor(std::string_view pattern, std::string_view name) {
  return matches(pattern, name) || matches(pattern, public_name(name));
}

}  // namespace coppice::nn
