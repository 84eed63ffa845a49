#pragma once
/// Checked sizes and bounded reading: the one place where bytes of unknown origin become numbers.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "coppice/engine/error.h"

namespace coppice {

/// Sum and product, or nothing on overflow.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t out = 0;
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t out = 0;
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}
/// Product of `sizes` and `unit`, or nothing when it exceeds 2^63 - 1. The sizes other than 0 are multiplied first, so
/// that a huge shape is refused even when one axis is empty and no product can wrap around to 0.
[[nodiscard]] std::optional<std::uint64_t> checked_volume(std::span<const std::uint64_t> sizes, std::uint64_t unit);

/// Whether `text` is UTF-8 without overlong forms, surrogates and code points above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text);
/// `text` in single quotes for messages: control, bidirectional and invisible characters and bytes that are no UTF-8 as
/// \xNN, long texts cut at 120 bytes.
[[nodiscard]] std::string quote(std::string_view text);
/// The same for a path, whole: what tells files apart stands at its end.
[[nodiscard]] std::string quote_path(std::string_view path);
/// `text` whole, for terminals: the same characters as \xNN, but for newlines.
[[nodiscard]] std::string printable(std::string_view text);

/// Who reads which file: the opening words of every message about it.
struct Source {
  std::string op;    ///< the operation, such as "read_npy"
  std::string file;  ///< path as the caller gave it

  /// "[op] 'file', byte N: "
  [[nodiscard]] std::string at(std::uint64_t offset) const;
  /// "[op] 'file': "
  [[nodiscard]] std::string prefix() const;

  /// FormatError about a place in the file, and about the file as a whole.
  template <class... Text>
  [[noreturn]] void reject_at(std::uint64_t offset, const Text&... text) const {
    throw FormatError(at(offset) + cat(text...));
  }
  template <class... Text>
  [[noreturn]] void reject(const Text&... text) const {
    throw FormatError(prefix() + cat(text...));
  }
  /// LimitError "… must be at most `allowed`; got `found` (raise Limits::`limit`)".
  [[noreturn]] void exceeded(const char* limit, std::string_view what, std::uint64_t allowed,
                             std::uint64_t found) const;
};

/// Little-endian numbers and byte ranges out of a block of bytes; never reads outside it.
///
/// Every failure is a FormatError that names file, position, what was wanted and what was there.
class ByteReader {
 public:
  /// @param base  position of bytes[0] in the file, for messages
  ByteReader(std::span<const std::byte> bytes, const Source& source, std::uint64_t base = 0)
      : bytes_(bytes), source_(&source), base_(base) {}

  [[nodiscard]] std::uint64_t position() const { return base_ + at_; }
  [[nodiscard]] std::uint64_t remaining() const { return bytes_.size() - at_; }
  [[nodiscard]] const Source& source() const { return *source_; }

  /// @param what  what is read, for the message
  [[nodiscard]] std::uint8_t u8(const char* what) { return static_cast<std::uint8_t>(number(1, what)); }
  [[nodiscard]] std::uint16_t u16(const char* what) { return static_cast<std::uint16_t>(number(2, what)); }
  [[nodiscard]] std::uint32_t u32(const char* what) { return static_cast<std::uint32_t>(number(4, what)); }
  [[nodiscard]] std::uint64_t u64(const char* what) { return number(8, what); }
  [[nodiscard]] std::span<const std::byte> bytes(std::uint64_t count, const char* what) {
    if (count > remaining()) too_short(count, what);
    const auto out = bytes_.subspan(at_, static_cast<std::size_t>(count));
    at_ += static_cast<std::size_t>(count);
    return out;
  }
  [[nodiscard]] std::string_view text(std::uint64_t count, const char* what);
  /// Text up to the next newline, which is consumed and not returned.
  [[nodiscard]] std::string_view line(const char* what);
  void skip(std::uint64_t count, const char* what) { (void)bytes(count, what); }

  /// FormatError at the current position.
  template <class... Text>
  [[noreturn]] void reject(const Text&... text) const {
    throw FormatError(source_->at(position()) + cat(text...));
  }

 private:
  [[nodiscard]] std::uint64_t number(unsigned width, const char* what) {
    if (width > remaining()) too_short(width, what);
    std::uint64_t out = 0;
    for (unsigned i = 0; i < width; ++i) out |= std::to_integer<std::uint64_t>(bytes_[at_ + i]) << (8 * i);
    at_ += width;
    return out;
  }
  [[noreturn]] void too_short(std::uint64_t count, const char* what) const;

  std::span<const std::byte> bytes_;
  const Source* source_;
  std::uint64_t base_;
  std::size_t at_ = 0;
};

}  // namespace coppice
