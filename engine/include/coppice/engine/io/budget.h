#pragma once
/// Memory that one load may still take for values.

#include <cstdint>
#include <string_view>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/limits.h"

namespace coppice {

/// Counts what a load allocates for values; more than the file's own size plus Limits::extra_bytes is a LimitError.
class MemoryBudget {
 public:
  MemoryBudget(const Source& source, const Limits& limits, std::uint64_t file_bytes)
      : source_(source),
        allowed_(checked_add(limits.extra_bytes, file_bytes).value_or(UINT64_MAX)),
        shown_allowed_(checked_add(limits.extra_bytes, checked_mul(file_bytes, kMostNames).value_or(UINT64_MAX))
                           .value_or(UINT64_MAX)) {}

  /// @param what  what the memory is for, for the message
  void take(std::uint64_t bytes, std::string_view what) {
    const std::uint64_t sum = checked_add(taken_, bytes).value_or(UINT64_MAX);
    if (sum > allowed_) source_.exceeded("extra_bytes", cat("memory for ", what), allowed_, sum);
    taken_ = sum;
  }

  /// A tensor that shows bytes of the file, which other tensors may show too. Nothing is allocated for it here, but by
  /// whoever goes over all tensors: the sum is bounded by sixteen times the file plus Limits::extra_bytes.
  void show(std::uint64_t bytes, std::string_view what) {
    const std::uint64_t sum = checked_add(shown_, bytes).value_or(UINT64_MAX);
    if (sum > shown_allowed_)
      source_.exceeded("extra_bytes", cat("the bytes of all tensors, with ", what), shown_allowed_, sum);
    shown_ = sum;
  }

 private:
  static constexpr std::uint64_t kMostNames = 16;  // of one storage, in the mean; models tie two or three

  Source source_;
  std::uint64_t allowed_;
  std::uint64_t shown_allowed_;
  std::uint64_t taken_ = 0;
  std::uint64_t shown_ = 0;
};

}  // namespace coppice
