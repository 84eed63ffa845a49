#pragma once
/// Memory that one load may still take for values.

#include <cstdint>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/limits.h"

namespace coppice {

/// Counts what a load allocates for values; more than the file's own size plus Limits::extra_bytes is a LimitError.
class MemoryBudget {
 public:
  MemoryBudget(const Source& source, const Limits& limits, std::uint64_t file_bytes)
      : source_(source), allowed_(checked_add(limits.extra_bytes, file_bytes).value_or(UINT64_MAX)) {}

  /// @param what  what the memory is for, for the message
  void take(std::uint64_t bytes, std::string_view what) {
    const std::uint64_t sum = checked_add(taken_, bytes).value_or(UINT64_MAX);
    if (sum > allowed_) source_.exceeded("extra_bytes", cat("memory for ", what), allowed_, sum);
    taken_ = sum;
  }

 private:
  Source source_;
  std::uint64_t allowed_;
  std::uint64_t taken_ = 0;
};

}  // namespace coppice
