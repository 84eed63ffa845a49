#pragma once
/// Checksums that a safetensors file carries in its metadata: CRC-32 of the header's contents and of each tensor.
///
/// The text is one word of eight hexadecimal digits for the header, then one for each tensor in the order of names by
/// bytes: other programs may write the same tensors in another order and with other offsets, and the words stay true.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/engine/checked.h"

namespace coppice {

/// What the header says of one tensor.
struct ChecksumEntry {
  std::string_view name;
  std::string_view dtype;
  std::vector<std::int64_t> shape;
};

/// Of names, element types and shapes, in the order of names, and of the metadata without the checksums themselves.
[[nodiscard]] std::uint32_t header_checksum(std::vector<ChecksumEntry> entries,
                                            const std::map<std::string, std::string>& metadata);

/// "1a2b3c4d 00000000 …"
[[nodiscard]] std::string checksums_text(const std::vector<std::uint32_t>& words);
/// @param count  words that there must be
/// @throws FormatError
[[nodiscard]] std::vector<std::uint32_t> parse_checksums(std::string_view text, std::size_t count,
                                                         const Source& source);
/// Eight hexadecimal digits.
[[nodiscard]] std::string checksum_text(std::uint32_t crc);

}  // namespace coppice
