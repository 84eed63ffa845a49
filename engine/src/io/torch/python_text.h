#pragma once
/// Texts of Python, which may hold halves of surrogate pairs and NUL.

#include <string>
#include <string_view>

namespace coppice {

/// Whether `text` is UTF-8, but for surrogates, which stand in it as three bytes each ("surrogatepass").
[[nodiscard]] bool is_python_text(std::string_view text);

/// `text` as a name: NUL and the bytes of surrogates as \xNN, all else as it is.
[[nodiscard]] std::string as_name(std::string_view text);

}  // namespace coppice
