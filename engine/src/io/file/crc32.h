#pragma once
/// The checksum of zip members and of the tensors in our safetensors files.

#include <cstddef>
#include <cstdint>
#include <span>

namespace coppice {

/// CRC-32 of ISO 3309, as in zip, gzip and Python's zlib.crc32; large blocks on all threads.
///
/// @param before  checksum of the bytes that stand in front of these
[[nodiscard]] std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before = 0);

}  // namespace coppice
