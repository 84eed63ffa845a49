#pragma once
// JSON from strangers: no key twice, bounded depth, errors with the file and the byte. Private to nn.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace coppice::nn {

/// @param source  file or place, for messages
/// @throws FormatError  naming source, byte and rule; LimitError  beyond `depth` levels or 1000 keys in an object
[[nodiscard]] nlohmann::ordered_json parse_strict(std::string_view text, const std::string& source,
                                                  std::size_t depth = 64);

}  // namespace coppice::nn
