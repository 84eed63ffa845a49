#include "io/safetensors/checksums.h"

#include <algorithm>
#include <charconv>
#include <span>

#include "coppice/engine/io/safetensors.h"
#include "io/file/crc32.h"

namespace coppice {
namespace {

constexpr std::size_t kDigits = 8;

}  // namespace

std::uint32_t header_checksum(std::vector<ChecksumEntry> entries, const std::map<std::string, std::string>& metadata) {
  std::ranges::sort(entries, {}, &ChecksumEntry::name);
  std::uint32_t crc = 0;
  // NUL stands in no name and key; a text is told apart from what follows by its length.
  const auto add = [&](std::string_view text) {
    crc = crc32_of(std::as_bytes(std::span(text)), crc);
    crc = crc32_of(std::as_bytes(std::span("", 1)), crc);
  };
  for (const ChecksumEntry& entry : entries) {
    add(entry.name);
    add(entry.dtype);
    std::string shape;
    for (const std::int64_t size : entry.shape) shape += cat(shape.empty() ? "" : ",", size);
    add(shape);
  }
  for (const auto& [key, value] : metadata) {
    if (key == kChecksumKey) continue;
    add(key);
    add(cat(value.size()));
    add(value);
  }
  return crc;
}

std::string checksum_text(std::uint32_t crc) {
  char digits[kDigits];
  const auto [end, error] = std::to_chars(std::begin(digits), std::end(digits), crc, 16);
  std::string out(kDigits - static_cast<std::size_t>(end - digits), '0');
  return out.append(digits, end);
}

std::string checksums_text(const std::vector<std::uint32_t>& words) {
  std::string out;
  out.reserve(words.size() * (kDigits + 1));
  for (const std::uint32_t word : words) {
    if (!out.empty()) out += ' ';
    out += checksum_text(word);
  }
  return out;
}

std::vector<std::uint32_t> parse_checksums(std::string_view text, std::size_t count, const Source& source) {
  const std::size_t found = (text.size() + 1) / (kDigits + 1);
  if ((text.size() + 1) % (kDigits + 1) != 0 || found != count)
    source.reject("metadata ", quote(kChecksumKey), " must be ", count, " words of ", kDigits,
                  " hexadecimal digits, for the header and for each tensor; it has ", text.size(), " bytes");
  std::vector<std::uint32_t> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view word = text.substr(i * (kDigits + 1), kDigits);
    const std::size_t behind = i * (kDigits + 1) + kDigits;
    // One way to write a number: every flipped bit shows.
    if (word.find_first_not_of("0123456789abcdef") != word.npos || (behind < text.size() && text[behind] != ' '))
      source.reject("metadata ", quote(kChecksumKey), ": word ", i, " must be ", kDigits,
                    " small hexadecimal digits before a space; it is ",
                    quote(text.substr(i * (kDigits + 1), kDigits + 1)));
    (void)std::from_chars(word.data(), word.data() + word.size(), out[i], 16);
  }
  return out;
}

}  // namespace coppice
