#include "coppice/engine/race.h"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

#include "coppice/engine/error.h"

using namespace coppice;

TEST_SUITE("engine/race") {
  TEST_CASE("all take their turns, as often as asked") {
    std::string order;
    const std::vector<std::function<void()>> runners{[&] { order += 'a'; }, [&] { order += 'b'; }};
    const std::vector<RaceTime> times = race(runners, {.rounds = 7});
    REQUIRE(times.size() == 2);
    for (const RaceTime& t : times) {
      CHECK(t.best >= 0);
      CHECK(t.best <= t.median);
      CHECK(t.median <= t.p95);
    }
    // Three calls of each to warm up and to look, then seven samples of each in turn.
    std::string turns;
    for (const char c : order.substr(6))
      if (turns.empty() || turns.back() != c) turns += c;
    CHECK(order.substr(0, 6) == "aaabbb");
    CHECK(turns == "ababababababab");
  }

  TEST_CASE("a long call is taken once a sample, and no more often than the time allows") {
    int calls = 0;
    const std::vector<std::function<void()>> runners{[&] {
      ++calls;
      volatile double x = 0;
      for (int i = 0; i < 2'000'000; ++i) x = x + 1;
    }};
    (void)race(runners, {.rounds = 1000, .seconds = 0, .least = 4});
    CHECK(calls == 3 + 4);
    calls = 0;
    (void)race(runners, {.rounds = 2, .seconds = 0, .least = 4});
    CHECK(calls == 3 + 2);
  }

  TEST_CASE("none, wrong options, and a runner that throws") {
    CHECK(race({}).empty());
    const std::vector<std::function<void()>> runners{[] { throw std::runtime_error("fell"); }};
    CHECK_THROWS_WITH_AS((void)race(runners), "fell", std::runtime_error);
    CHECK_THROWS_AS((void)race({}, {.rounds = 0}), ValueError);
    CHECK_THROWS_AS((void)race({}, {.least = 0}), ValueError);
    CHECK_THROWS_AS((void)race({}, {.seconds = -1}), ValueError);
  }
}
