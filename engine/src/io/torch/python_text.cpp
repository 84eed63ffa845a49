#include "io/torch/python_text.h"

#include "coppice/engine/checked.h"

namespace coppice {
namespace {

constexpr std::size_t kSurrogateBytes = 3;

/// Position of the first surrogate, or npos.
std::size_t find_surrogate(std::string_view text) {
  for (std::size_t at = text.find('\xED'); at != text.npos; at = text.find('\xED', at + 1)) {
    const std::string_view rest = text.substr(at, kSurrogateBytes);
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
    if (rest.size() == kSurrogateBytes && byte(1) >= 0xA0 && byte(1) <= 0xBF && (byte(2) & 0xC0) == 0x80) return at;
  }
  return text.npos;
}

}  // namespace

bool is_python_text(std::string_view text) {
  for (;;) {
    const std::size_t at = find_surrogate(text);
    if (!is_utf8(text.substr(0, at))) return false;
    if (at == text.npos) return true;
    text.remove_prefix(at + kSurrogateBytes);
  }
}

std::string as_name(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  std::size_t surrogate = find_surrogate(text);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (surrogate != text.npos && i == surrogate + kSurrogateBytes) {
      const std::size_t next = find_surrogate(text.substr(i));
      surrogate = next == text.npos ? next : i + next;
    }
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0 || (surrogate != text.npos && i >= surrogate))
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    else
      out += text[i];
  }
  return out;
}

}  // namespace coppice
