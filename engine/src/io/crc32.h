#pragma once
/// The checksum of zip members.

#include <cstddef>
#include <cstdint>
#include <span>

namespace coppice {

/// CRC-32 as zlib's crc32(), on all threads for large blocks.
[[nodiscard]] std::uint32_t crc32_of(std::span<const std::byte> bytes);

}  // namespace coppice
