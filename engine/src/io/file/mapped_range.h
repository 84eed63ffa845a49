#pragma once
/// Which addresses show which file, readable from a signal handler.

#include <atomic>
#include <cstddef>
#include <string>

namespace coppice {

/// One mapping of a file. Never freed, but used again: a signal handler may look at any moment.
struct MappedRange {
  std::atomic<const std::byte*> begin{nullptr};
  std::atomic<std::size_t> bytes{0};  ///< 0: shows nothing
  std::atomic<bool> taken{false};
  char path[512] = {};
  MappedRange* next = nullptr;
};

/// @throws std::bad_alloc
[[nodiscard]] MappedRange* enter_range(const std::byte* begin, std::size_t bytes, const std::string& path);
void leave_range(MappedRange* range) noexcept;

}  // namespace coppice
