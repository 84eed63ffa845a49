#pragma once
/// The n-th allocation fails: for programs that link allocation.cpp, which replaces operator new and posix_memalign().

#include <doctest/doctest.h>

#include <cstdint>
#include <new>
#include <string>
#include <thread>

#include "coppice/engine/error.h"

namespace coppice::test {

/// Blocks of operator new that were not given back yet.
[[nodiscard]] std::int64_t live_blocks();
/// Blocks that Storage has asked the system for.
[[nodiscard]] std::int64_t storage_blocks();
/// The n-th allocation from now on fails; 0: none.
void fail_at(std::int64_t n);
inline void stop_failing() { fail_at(0); }
/// Whether the allocation that was to fail has been reached.
[[nodiscard]] bool failed();

/// Calls `work` in a thread of its own (whose pool of blocks begins empty) with the n-th allocation failing, for every
/// n until it succeeds; the number of allocations. After each failure `unchanged` must hold and nothing may be left.
template <class Work, class Unchanged>
int fail_everywhere(Work work, Unchanged unchanged) {
  const auto attempt = [&](std::int64_t at) {
    std::string ended;
    const std::int64_t before = live_blocks();
    std::thread([&] {
      bool done = false, category = false;
      fail_at(at);
      try {
        work();
        done = true;
      } catch (const std::bad_alloc&) {
        category = true;
      } catch (const LimitError&) {
        category = true;
      } catch (const std::exception& error) {
        stop_failing();
        ended = error.what();
      }
      // `done` with the countdown at 0: a failure that was borne, such as a block that does not go to a pool.
      const bool reached = failed();
      stop_failing();
      if (ended.empty()) ended = done ? (reached && at > 0 ? "borne" : "done") : category ? "out of memory" : "?";
    }).join();
    const std::int64_t left = live_blocks() - before - (ended.capacity() > 15 ? 1 : 0);
    CAPTURE(at);
    CAPTURE(ended);
    CHECK((ended == "done" || ended == "borne" || ended == "out of memory"));
    if (at > 0) CHECK(left == 0);
    if (ended == "out of memory") CHECK(unchanged());
    return ended == "done";
  };
  REQUIRE(attempt(0));  // registers and tables that are made once
  for (int at = 1; at < 20'000; ++at)
    if (attempt(at)) return at - 1;
  FAIL("no end");
  return 0;
}

template <class Work>
int fail_everywhere(Work work) {
  return fail_everywhere(work, [] { return true; });
}

}  // namespace coppice::test
