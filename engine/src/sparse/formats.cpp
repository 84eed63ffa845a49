// The table of packed formats.
#include <algorithm>
#include <ostream>

#include "coppice/engine/checked.h"
#include "format.h"

// One a line, in the order of their listing, the dense one first. One list instead of registration in each file: a
// linker may drop files of a static library that nobody names.
#define COPPICE_PACKED_FORMATS(ROW) \
  ROW(kDense)                       \
  ROW(kCsr)                         \
  ROW(kBitmask)                     \
  ROW(kBlock4)                      \
  ROW(kBlock8)                      \
  ROW(kBlock16)

namespace coppice {
namespace sparse {

#define COPPICE_DECLARE(row) extern const PackedFormatRow row;
COPPICE_PACKED_FORMATS(COPPICE_DECLARE)
#undef COPPICE_DECLARE

namespace {

#define COPPICE_ENTRY(row) PackedFormat(row),
constexpr PackedFormat kFormats[] = {COPPICE_PACKED_FORMATS(COPPICE_ENTRY)};
#undef COPPICE_ENTRY

}  // namespace

const PackedFormatRow* find_row(std::span<const PackedFormat> formats, std::string_view name) {
  for (const PackedFormat f : formats)
    if (f.name() == name || std::ranges::find(f.row().old_names, name) != f.row().old_names.end()) return &f.row();
  return nullptr;
}

}  // namespace sparse

PackedFormat::PackedFormat() : PackedFormat(sparse::kFormats[0]) {}

PackedFormat PackedFormat::named(std::string_view name) {
  if (const auto format = packed_format_from_name(name)) return *format;
  throw ValueError(cat("[PackedFormat] must be ", packed_format_names(all_packed_formats()), "; got ", quote(name)));
}

std::string_view PackedFormat::name() const { return row_->name; }
const PackedLayout& PackedFormat::layout() const { return row_->layout; }
PackedBlock PackedFormat::block() const { return row_->block; }
Dtype PackedFormat::element() const { return row_->element; }

std::string to_string(const PackedBlock& block) { return cat(block.rows, " x ", block.cols); }
std::string to_string(const PackedFormat& format) { return std::string(format.name()); }
std::ostream& operator<<(std::ostream& out, const PackedFormat& format) { return out << format.name(); }

std::optional<PackedFormat> packed_format_from_name(std::string_view name) {
  const PackedFormatRow* row = sparse::find_row(sparse::kFormats, name);
  return row != nullptr ? std::optional(PackedFormat(*row)) : std::nullopt;
}

std::span<const PackedFormat> all_packed_formats() { return sparse::kFormats; }
std::span<const PackedFormat> packing_formats() { return all_packed_formats().subspan(1); }

std::string packed_format_names(std::span<const PackedFormat> formats) {
  std::string text;
  for (std::size_t i = 0; i < formats.size(); ++i)
    text += cat(i == 0 ? "" : i + 1 == formats.size() ? " or " : ", ", formats[i].name());
  return text;
}

}  // namespace coppice
