// What a load may still take.
#include "coppice/engine/io/budget.h"

#include <doctest/doctest.h>

#include "coppice/engine/error.h"

namespace {

using namespace coppice;

MemoryBudget budget(std::uint64_t extra, std::uint64_t file) {
  Limits limits;
  limits.extra_bytes = extra;
  return {Source{"load", "model.pt"}, limits, file};
}

TEST_SUITE("engine/io/budget") {
  TEST_CASE("the file's own size and the extra bytes may be taken, in parts, and not one more") {
    MemoryBudget b = budget(100, 20);
    b.take(100, "a");
    b.take(20, "b");
    b.take(0, "c");
    CHECK_THROWS_AS(b.take(1, "d"), LimitError);
    CHECK_THROWS_WITH_AS(budget(1, 1).take(3, "'weight'"), doctest::Contains("extra_bytes"), LimitError);
    CHECK_THROWS_WITH_AS(budget(1, 1).take(3, "'weight'"), doctest::Contains("memory for 'weight'"), LimitError);
  }

  TEST_CASE("what was refused was not taken") {
    MemoryBudget b = budget(10, 0);
    CHECK_THROWS_AS(b.take(11, "a"), LimitError);
    b.take(10, "b");
  }

  TEST_CASE("shown bytes count apart, up to sixteen times the file and the extra bytes") {
    MemoryBudget b = budget(5, 10);
    b.show(165, "a");
    CHECK_THROWS_AS(b.show(1, "b"), LimitError);
    b.take(15, "c");
  }

  TEST_CASE("sums beyond 2^64 are refused, not wrapped around") {
    MemoryBudget b = budget(10, 10);
    b.take(1, "a");
    CHECK_THROWS_AS(b.take(UINT64_MAX, "b"), LimitError);
    CHECK_THROWS_AS(b.show(UINT64_MAX, "b"), LimitError);
    budget(UINT64_MAX, UINT64_MAX).take(UINT64_MAX, "a limit that cannot be reached");
  }
}

}  // namespace
