#include "coppice/engine/checked.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace coppice {

std::optional<std::uint64_t> checked_volume(std::span<const std::uint64_t> sizes, std::uint64_t unit) {
  std::uint64_t product = unit;
  bool empty = unit == 0;
  for (const std::uint64_t size : sizes) {
    if (size == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(product, size, &product)) {
      return std::nullopt;
    }
  }
  if (product > INT64_MAX) return std::nullopt;
  return empty ? 0 : product;
}

namespace {

/// Bytes of the well-formed UTF-8 sequence at the start of `text`, 0 if there is none. `text` is not empty.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const unsigned second = byte(1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool surrogate = lead == 0xED && second >= 0xA0;
  const bool too_large = lead == 0xF4 && second >= 0x90;
  return overlong || surrogate || too_large ? 0 : length;
}

/// The code point of a well-formed sequence.
char32_t code_point(std::string_view sequence) {
  const auto lead = static_cast<unsigned char>(sequence[0]);
  char32_t out = sequence.size() == 1 ? lead : lead & (0xFF >> (sequence.size() + 1));
  for (const char c : sequence.substr(1)) out = out << 6 | (static_cast<unsigned char>(c) & 0x3F);
  return out;
}

/// Characters that a reader does not see, or that move what they see: controls, line and paragraph separators, marks
/// that turn the direction of text, and those of no width but the joiners that words are written with.
bool is_wide_control(std::string_view sequence) {
  constexpr std::pair<char32_t, char32_t> kHidden[] = {
      {0x80, 0x9F},     {0xAD, 0xAD},     {0x61C, 0x61C},   {0x180E, 0x180E}, {0x200B, 0x200B},  {0x200E, 0x200F},
      {0x2028, 0x202E}, {0x2060, 0x206F}, {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F}};
  const char32_t point = code_point(sequence);
  return std::ranges::any_of(kHidden, [&](const auto& range) { return point >= range.first && point <= range.second; });
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

namespace {

/// Takes the first character off `text` and appends it, or what stands for it.
void append_printable(std::string& out, std::string_view& text, bool keep_newline) {
  constexpr char kHex[] = "0123456789abcdef";
  const std::size_t length = utf8_length(text);
  const std::string_view sequence = text.substr(0, length == 0 ? 1 : length);
  const auto first = static_cast<unsigned char>(sequence[0]);
  const bool control = (first < 0x20 && !(keep_newline && first == '\n')) || first == 0x7F;
  if (length == 0 || control || is_wide_control(sequence)) {
    for (const char c : sequence) {
      const auto b = static_cast<unsigned char>(c);
      out += {'\\', 'x', kHex[b >> 4], kHex[b & 15]};
    }
  } else {
    out += sequence;
  }
  text.remove_prefix(sequence.size());
}

std::string quoted(std::string_view text, std::size_t longest) {
  std::string out = "'";
  while (!text.empty()) {
    if (out.size() > longest) return out += "…'";
    append_printable(out, text, false);
  }
  return out += "'";
}

}  // namespace

std::string quote(std::string_view text) { return quoted(text, 120); }

std::string quote_path(std::string_view path) { return quoted(path, std::string::npos); }

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) append_printable(out, text, true);
  return out;
}

std::string Source::at(std::uint64_t offset) const {
  return cat("[", op, "] ", quote_path(file), ", byte ", offset, ": ");
}

std::string Source::prefix() const { return cat("[", op, "] ", quote_path(file), ": "); }

void Source::exceeded(const char* limit, std::string_view what, std::uint64_t allowed, std::uint64_t found) const {
  throw LimitError(cat(prefix(), what, " must be at most ", allowed, "; got ", found, " (raise Limits::", limit, ")"));
}

std::string_view ByteReader::text(std::uint64_t count, const char* what) {
  const auto block = bytes(count, what);
  return {reinterpret_cast<const char*>(block.data()), block.size()};
}

std::string_view ByteReader::line(const char* what) {
  const auto rest = bytes_.subspan(at_);
  const void* end = rest.empty() ? nullptr : std::memchr(rest.data(), '\n', rest.size());
  if (end == nullptr) reject(what, " must end in a newline; the data ends first");
  const auto length = static_cast<std::size_t>(static_cast<const std::byte*>(end) - rest.data());
  const std::string_view out = text(length, what);
  ++at_;
  return out;
}

void ByteReader::too_short(std::uint64_t count, const char* what) const {
  reject(what, " needs ", count, " bytes; ", remaining(), " are left");
}

}  // namespace coppice
