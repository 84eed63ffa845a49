#pragma once
/// Zip archives, as PyTorch and NumPy write them.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/engine/io/atomic_file.h"
#include "coppice/engine/io/budget.h"
#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/mapped_file.h"

namespace coppice {

struct ZipMember {
  std::string name;
  std::uint64_t header_offset = 0;
  std::uint64_t data_offset = 0;   // found in the local header
  std::uint64_t stored_bytes = 0;  // in the file
  std::uint64_t bytes = 0;         // unpacked
  std::uint32_t crc = 0;
  std::uint16_t flags = 0;
  bool deflated = false;
};

/// The source of what stands in a member, for messages. Bytes of an inflated one are counted from its beginning, as
/// they stand nowhere in the file.
[[nodiscard]] Source inside(const Source& archive, const ZipMember& member);

/// Directory and members of an archive; everything is checked before the constructor returns, except checksums and
/// deflated data, which contents() checks.
///
/// Sizes come from the central directory and must agree with the local headers, where PyTorch leaves zeros. Refused:
/// bytes before or after the archive, a second end record, overlapping or repeated members, names that leave the
/// archive, encryption, several disks, methods other than stored and deflated, and whatever exceeds the limits.
class ZipReader {
 public:
  /// @throws FormatError, LimitError
  ZipReader(std::shared_ptr<MappedFile> file, Source source, const ReadOptions& options);

  /// In the order of the directory; folders are left out.
  [[nodiscard]] const std::vector<ZipMember>& members() const { return members_; }
  /// nullptr if there is none
  [[nodiscard]] const ZipMember* find(const std::string& name) const;
  /// The unpacked bytes: in place for stored members, else inflated into memory taken from `budget`.
  /// @throws FormatError  if the checksum differs (unless ReadOptions::verify is off) or the data does not inflate to
  ///                      the promised size
  [[nodiscard]] std::shared_ptr<Storage> contents(const ZipMember& member, MemoryBudget& budget) const;
  /// The first `most` unpacked bytes of a deflated member, or fewer if it holds fewer; its checksum is not compared.
  /// @throws FormatError  if its data is damaged up to there
  [[nodiscard]] std::vector<std::byte> beginning(const ZipMember& member, std::size_t most) const;
  [[nodiscard]] const Source& source() const { return source_; }

 private:
  struct Directory {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::uint64_t count = 0;
  };
  [[nodiscard]] Directory find_directory() const;
  [[nodiscard]] Directory zip64_directory(std::uint64_t locator, const Directory& narrow) const;
  void read_directory(const Directory& directory);
  void check_name(std::uint64_t at, std::string_view name) const;
  void check_local_header(ZipMember& member, std::uint64_t end) const;
  void check_layout(std::uint64_t end);
  [[nodiscard]] std::shared_ptr<Storage> inflate(const ZipMember& member, MemoryBudget& budget) const;

  std::shared_ptr<MappedFile> file_;
  Source source_;
  ReadOptions options_;
  std::vector<ZipMember> members_;
  std::map<std::string, std::size_t> index_;
};

/// Writes an archive of stored members whose data begins at multiples of 64 bytes.
///
/// The bytes depend on the members alone: no date is stored.
class ZipWriter {
 public:
  explicit ZipWriter(AtomicFile& file) : file_(file) {}
  /// One member, whole.
  void add(const std::string& name, std::span<const std::byte> bytes) { add(name, {}, bytes); }
  void add(const std::string& name, std::string_view text) { add(name, std::as_bytes(std::span(text))); }
  /// A member of `head` followed by `body`.
  void add(const std::string& name, std::span<const std::byte> head, std::span<const std::byte> body);
  /// Writes the directory.
  void finish();

 private:
  struct Written {
    std::string name;
    std::uint64_t offset;
    std::uint64_t bytes;
    std::uint32_t crc;
  };
  AtomicFile& file_;
  std::vector<Written> written_;
};

}  // namespace coppice
