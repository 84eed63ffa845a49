#pragma once
/// The bytes behind tensors: aligned, shared, and counted by version.

#include "coppice/engine/cxx20.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace coppice {

/// A block of bytes that any number of tensors may share.
///
/// Owned blocks are 64-byte aligned and readable for 64 bytes past their end, so that vector loads of a tail are safe.
/// Small and middle-sized blocks come from a pool of the thread: a loop that frees and takes the same sizes, such as
/// repeated inference, does not reach the system allocator.
class Storage {
 public:
  /// Uninitialised block of `bytes`. @throws LimitError  if the memory cannot be had
  [[nodiscard]] static std::shared_ptr<Storage> allocate(std::size_t bytes);
  /// Bytes that somebody else holds, such as a file mapping; `keeper` is released with the storage.
  /// Writing to them must be allowed (map private).
  [[nodiscard]] static std::shared_ptr<Storage> adopt(std::byte* data, std::size_t bytes,
                                                      std::shared_ptr<const void> keeper);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// Number of in-place changes so far.
  [[nodiscard]] std::uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }

 private:
  Storage(std::byte* data, std::size_t bytes, std::size_t capacity, std::shared_ptr<const void> keeper);

  std::byte* data_;
  std::size_t bytes_;
  std::size_t capacity_;  // 0 for adopted bytes
  std::shared_ptr<const void> keeper_;
  std::atomic<std::uint64_t> version_{0};
};

}  // namespace coppice
