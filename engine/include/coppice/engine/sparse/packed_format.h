#pragma once
/// How the numbers of a matrix can be stored and run: a row of a table for each format.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "coppice/engine/dtype.h"

namespace coppice {

struct PackedFormatRow;  // private to the engine

/// How numbers lie in the members of a packed matrix, the tensors that it consists of. Formats that differ by block or
/// element type alone share one. docs/packed-formats.md has the shapes of the members.
struct PackedLayout {
  std::string_view name;
  std::span<const std::string_view> members;  ///< their names, in order; "values" holds the stored numbers
};

/// A rectangle that is stored or left out as a whole.
struct PackedBlock {
  std::int64_t rows = 1, cols = 1;
  friend bool operator==(const PackedBlock&, const PackedBlock&) = default;
};
/// "4 x 1".
[[nodiscard]] std::string to_string(const PackedBlock& block);

namespace detail {
template <class T>
concept FormatName = std::convertible_to<const T&, std::string_view> && !std::same_as<T, std::nullptr_t>;
}

/// A packed format: a row of the table. As cheap to copy as a pointer; from its name as well, so that
/// PackedMatrix::pack(w, "csr") reads well. PackedMatrix calls what a row does. Every row promises:
///
/// * pack: float32 [rows, cols] -> members. The same bytes on every machine. Zeros of either sign may be left out, and
///   subnormal numbers become zero, since they would slow every product down. LimitError beyond what its offsets count.
/// * check: a FormatError names the member, the rule and the found value of whatever a kernel could not take, or could
///   take in two ways. What comes from outside passes it before a kernel sees it; what pack makes always passes.
/// * unpack: float32 [rows, cols] again; bit for bit, but for zeros and subnormal numbers, where the element type is
///   float32.
/// * linear, multiply: y = x wT + b over all threads, y = w x + b on the calling one. Bits do not depend on the number
///   of threads.
/// * Its name stands in files, and is never given to another format. A format that is renamed is still read by its old
///   names.
class PackedFormat {
 public:
  /// The dense one: every number in its place. What the others are compared with, and what is not packed.
  PackedFormat();
  /// @throws ValueError  as named()
  template <detail::FormatName Text>
  PackedFormat(const Text& name) : PackedFormat(named(name)) {}  // NOLINT
  explicit constexpr PackedFormat(const PackedFormatRow& row) : row_(&row) {}

  /// The format of a name or of an old name.
  /// @throws ValueError  listing the names
  [[nodiscard]] static PackedFormat named(std::string_view name);

  [[nodiscard]] std::string_view name() const;
  [[nodiscard]] const PackedLayout& layout() const;
  /// 1 x 1 where each number stands alone.
  [[nodiscard]] PackedBlock block() const;
  /// Of the stored numbers. Inputs and results of products are float32 in any case.
  [[nodiscard]] Dtype element() const;
  [[nodiscard]] bool is_dense() const { return *this == PackedFormat(); }

  /// What it does; private to the engine.
  [[nodiscard]] constexpr const PackedFormatRow& row() const { return *row_; }

  friend bool operator==(const PackedFormat&, const PackedFormat&) = default;

 private:
  const PackedFormatRow* row_;
};

/// Its name.
[[nodiscard]] std::string to_string(const PackedFormat& format);
std::ostream& operator<<(std::ostream& out, const PackedFormat& format);

/// The format of a name or of an old name; nothing when there is none.
[[nodiscard]] std::optional<PackedFormat> packed_format_from_name(std::string_view name);
/// All formats, the dense one first.
[[nodiscard]] std::span<const PackedFormat> all_packed_formats();
/// The same without the dense one: what a packed layer can have.
[[nodiscard]] std::span<const PackedFormat> packing_formats();
/// Their names as a message lists them: "a, b or c".
[[nodiscard]] std::string packed_format_names(std::span<const PackedFormat> formats);

}  // namespace coppice
