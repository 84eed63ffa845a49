#pragma once
/// Runs a function in a child process under caps on time and memory.

#include <cstdint>
#include <functional>
#include <string>

namespace coppice::test {

/// How a child ended and what it cost.
struct ChildResult {
  std::string said;  ///< what the function returned; empty if the child was killed
  int signal = 0;    ///< that ended it; SIGALRM or SIGXCPU when it took too long
  double cpu_seconds = 0;
  std::int64_t grown_kb = 0;  ///< of the resident set, over that of the parent
};

/// Calls `work` in a forked process. The caller must not have started threads.
/// @param seconds  of processor time before the child is killed; sixty times as many on the clock
/// @param address_bytes  the child's address space may grow by this much; 0 for no bound. No bound under a sanitizer,
///        whose shadow memory would count.
[[nodiscard]] ChildResult in_child(const std::function<std::string()>& work, unsigned seconds = 2,
                                   std::uint64_t address_bytes = 0);

/// Whether a sanitizer is built in: it costs time and memory of its own.
[[nodiscard]] bool sanitized();

}  // namespace coppice::test
