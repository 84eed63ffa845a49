#pragma once
// How the float unit of a thread treats subnormals, taken along to other threads. Private to the engine.

#include <cstdint>

namespace coppice::detail {

/// Control bits of this thread's float unit that flush subnormals.
[[nodiscard]] std::uint64_t flush_state();

/// While alive, this thread has the `state` that flush_state() gave, here or on another thread.
class WithFlushState {
 public:
  explicit WithFlushState(std::uint64_t state);
  ~WithFlushState();
  WithFlushState(const WithFlushState&) = delete;
  WithFlushState& operator=(const WithFlushState&) = delete;

 private:
  std::uint64_t saved_;
  bool changed_;
};

}  // namespace coppice::detail
