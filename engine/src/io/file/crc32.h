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

/// CRC-32 of pieces that stand one behind the other, from their own.
/// @param piece  bytes of each but the last  @param last  bytes of that
[[nodiscard]] std::uint32_t crc32_joined(std::span<const std::uint32_t> crcs, std::uint64_t piece, std::uint64_t last,
                                         std::uint32_t before = 0);

}  // namespace coppice
