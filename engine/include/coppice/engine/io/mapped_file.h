#pragma once
/// A file as bytes, mapped or read.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/storage.h"

namespace coppice {

struct Source;

/// The contents of a regular file.
///
/// Mapped files are private copies page by page: writing to the bytes changes the memory of this process and never the
/// file. At least 64 bytes past the end are readable and zero, as behind every block that the engine owns.
class MappedFile {
 public:
  /// @throws IoError     if the file cannot be opened or read, or is a directory, pipe, socket or device
  /// @throws LimitError  if it is larger than Limits::file_bytes or, when read, than the memory there is
  /// A named pipe is refused at once, never waited for.
  [[nodiscard]] static std::shared_ptr<MappedFile> open(const std::filesystem::path& path, const Source& source,
                                                        const ReadOptions& options = {});
  /// The regular file behind an open descriptor, which stays the caller's.
  /// @throws as open; FormatError  if it is no regular file
  [[nodiscard]] static std::shared_ptr<MappedFile> of(int fd, const Source& source, const ReadOptions& options = {});
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() const { return {data_, size_}; }
  [[nodiscard]] bool mapped() const { return mapping_bytes_ != 0; }

 private:
  MappedFile() = default;
  static std::shared_ptr<MappedFile> from(int fd, std::uint64_t size, const Source& source, const ReadOptions& options);

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapping_bytes_ = 0;        // 0 when the file was read
  struct MappedRange* range_ = nullptr;  // where mapped_path_at() finds it
  std::shared_ptr<Storage> storage_;     // holds what was read
};

/// The path of the mapped file whose bytes `address` is among, as printable() shows it, its last 511 bytes; nullptr if
/// there is none. Valid as long as that file is mapped. Takes no lock and no memory: for the handler of SIGBUS, which a
/// program that maps gets when somebody shortens the file.
[[nodiscard]] const char* mapped_path_at(const void* address) noexcept;

/// Gives the pages back in which these bytes of a mapped file stand, as far as they hold nothing else: they are read
/// again where they are wanted again. For programs that go once over files larger than the memory. Does nothing for
/// other bytes. The bytes must not have been written to: such pages would show the file again.
void forget_pages(std::span<const std::byte> bytes) noexcept;

/// The first `count` bytes of a regular file, fewer if it is shorter. @throws IoError as MappedFile::open
[[nodiscard]] std::vector<std::byte> read_head(const std::filesystem::path& path, const Source& source,
                                               std::size_t count);

/// A text file of at most Limits::header_bytes, whole. @throws IoError as MappedFile::open; LimitError
[[nodiscard]] std::string read_text(const std::filesystem::path& path, const Source& source, const Limits& limits);

/// A storage over `part` of the file's bytes that keeps the file alive.
[[nodiscard]] std::shared_ptr<Storage> storage_in(std::shared_ptr<MappedFile> file, std::span<std::byte> part);

}  // namespace coppice
