#pragma once
/// A file that appears complete or not at all.

#include "coppice/engine/cxx20.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "coppice/engine/parallel.h"

namespace coppice {

/// Writes a temporary file beside `path` and renames it over `path` when it is complete and on the disk.
///
/// Until commit() returns the old file is untouched; whatever fails before removes the temporary file. Temporary files
/// of processes that were killed are removed by the next save to the same path. Two writers at once: the later commit
/// wins, whole. A mapping of the old file stays valid. Permissions of a replaced file are kept; a symbolic link is
/// replaced, not followed.
class AtomicFile {
 public:
  static constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;  ///< bytes that write_made() makes at a time

  /// @throws IoError  if the folder cannot be written, or `path` is a directory, pipe or device
  /// @param op  the operation, for messages
  AtomicFile(std::filesystem::path path, std::string op);
  /// Removes the temporary file unless commit() succeeded.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends all of `bytes`. @throws IoError  naming path and reason (full disk, size limit of the process …)
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Appends `bytes` that `make` writes into the span it gets, from the given one of them on: in pieces of kPiece, the
  /// last one shorter, several at once, about in order. Holds one piece for each thread.
  /// @throws IoError, and what `make` throws
  void write_made(std::uint64_t bytes, FunctionRef<void(std::uint64_t, std::span<std::byte>)> make);
  /// Replaces bytes that were written. @throws IoError; ValueError  beyond position()
  void overwrite(std::uint64_t offset, std::span<const std::byte> bytes);
  void overwrite(std::uint64_t offset, std::string_view text) { overwrite(offset, std::as_bytes(std::span(text))); }
  /// Appends zeros up to the next multiple of `alignment`.
  void pad_to(std::size_t alignment);
  /// Bytes written so far.
  [[nodiscard]] std::uint64_t position() const { return position_; }
  /// Sends everything to the disk and renames; then sends the folder to the disk. @throws IoError, StateError if called
  /// twice
  void commit();

 private:
  void create();
  [[noreturn]] void fail(std::string_view what) const;
  void flush();
  void send(std::uint64_t bytes);

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  std::string op_;
  int fd_ = -1;
  std::uint64_t position_ = 0;
  std::atomic<std::uint64_t> sent_ = 0;  // how many were counted by send()
  std::string buffer_;                   // gathers small pieces
};

/// `bytes` as the whole of a file, atomically. @throws IoError
void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file(const std::filesystem::path& path, std::string_view text);

}  // namespace coppice
