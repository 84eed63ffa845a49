#pragma once
// What this process holds in memory.

#include <cstdint>

namespace coppice::cli {

/// Bytes in memory now: of this process, of libraries, and of mapped files as far as their pages are here. 0 where the
/// system does not tell.
[[nodiscard]] std::uint64_t resident_memory();
/// The most that resident_memory() has been. Unlike what wait4() tells of a process, it never counts what the one that
/// started it held.
[[nodiscard]] std::uint64_t peak_memory();

}  // namespace coppice::cli
