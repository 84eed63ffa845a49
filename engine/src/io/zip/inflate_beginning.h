#pragma once
/// What a deflated member begins with, without the rest.

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace coppice {

/// The first `most` bytes that `deflated` inflates to, or all if they are fewer; nothing if the data is damaged up to
/// there. Takes memory for these bytes, and time for them, however long the rest is. Slow for each of them, which
/// headers can afford. Source: RFC 1951.
[[nodiscard]] std::optional<std::vector<std::byte>> inflate_beginning(std::span<const std::byte> deflated,
                                                                      std::size_t most);

}  // namespace coppice
