#pragma once
/// Calls of the operating system that fail, or kill the process, at a chosen moment.
///
/// A program that links fault_calls.cpp calls its open, write, fsync, rename, close, flock, fchmod, unlink and mmap
/// instead of the C library's. They pass everything on until a fault is planned.

#include <string>
#include <vector>

namespace coppice::test {

enum class Fault {
  none,         ///< count and log only
  kill,         ///< SIGKILL before the call
  io_error,     ///< the call fails once with EIO
  no_space,     ///< from then on every write and fsync fails with ENOSPC
  interrupted,  ///< the call fails once with EINTR
  short_write,  ///< a write writes half of what it should
  no_mapping,   ///< from then on no file can be mapped, as on some network file systems
};

/// Counts from here on; the fault comes with the `at`-th call, from 1.
void plan_fault(Fault fault, int at);
/// Passes everything on again.
void no_faults();
/// The calls since plan_fault(), by name.
[[nodiscard]] const std::vector<std::string>& calls_made();

}  // namespace coppice::test
