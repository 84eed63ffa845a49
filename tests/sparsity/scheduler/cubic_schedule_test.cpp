#include "coppice/sparsity/scheduler/cubic_schedule.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "coppice/engine/error.h"

using coppice::ValueError;
using coppice::sparsity::CubicSchedule;

TEST_SUITE("sparsity/scheduler/cubic_schedule") {
  TEST_CASE("the formula of Zhu and Gupta") {
    const CubicSchedule s{.initial = 0.1, .final = 0.9, .begin = 10, .end = 30};
    CHECK(s.at(0) == 0.1);
    CHECK(s.at(10) == 0.1);
    CHECK(s.at(15) == doctest::Approx(0.9 - 0.8 * 0.421875));
    CHECK(s.at(20) == doctest::Approx(0.8));
    CHECK(s.at(30) == 0.9);
    CHECK(s.at(1000) == 0.9);
    for (int step = 10; step < 30; ++step) CHECK(s.at(step) < s.at(step + 1));
  }

  TEST_CASE("it may fall as well") {
    const CubicSchedule s{.initial = 0.8, .final = 0, .begin = 0, .end = 4};
    CHECK(s.at(2) == doctest::Approx(0.1));
    CHECK(s.at(4) == 0);
  }

  TEST_CASE("masks change every `every` steps inside the ramp, and at its end") {
    const CubicSchedule s{.begin = 5, .end = 12, .every = 3};
    std::vector<int> changes;
    for (int step = 0; step < 30; ++step)
      if (s.changes_at(step)) changes.push_back(step);
    CHECK(changes == std::vector<int>{5, 8, 11, 12});
  }

  TEST_CASE("settings out of range") {
    CHECK_NOTHROW(CubicSchedule{}.check());
    CHECK_THROWS_AS((CubicSchedule{.initial = -0.1}.check()), ValueError);
    CHECK_THROWS_AS((CubicSchedule{.final = 1.1}.check()), ValueError);
    CHECK_THROWS_AS((CubicSchedule{.final = std::nan("")}.check()), ValueError);
    CHECK_THROWS_AS((CubicSchedule{.begin = -1}.check()), ValueError);
    CHECK_THROWS_AS((CubicSchedule{.begin = 5, .end = 5}.check()), ValueError);
    CHECK_THROWS_AS((CubicSchedule{.begin = 5, .end = 3}.check()), ValueError);
    CHECK_THROWS_AS((CubicSchedule{.every = 0}.check()), ValueError);
    CHECK_THROWS_AS((CubicSchedule{.every = -1}.check()), ValueError);
  }
}
