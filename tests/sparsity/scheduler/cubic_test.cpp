#include "coppice/sparsity/scheduler/cubic.h"

#include <doctest/doctest.h>

#include <cmath>

#include "sparsity/scheduler/halves.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;
using Levels = std::vector<double>;

namespace {

/// The levels of both groups at the start and after each of `steps` steps.
std::vector<Levels> run(const CubicSettings& settings, int steps, double first = 0.8, double second = 0.4) {
  TwoGroups f(first, second);
  CubicSL scheduler(f.sparsifier, settings);
  std::vector<Levels> out{f.levels()};
  for (int i = 0; i < steps; ++i) {
    f.sparsifier.step();
    scheduler.step();
    out.push_back(f.levels());
  }
  return out;
}

CubicSettings reference() {
  CubicSettings s;
  s.init_sl = 0.1;
  s.init_t = 3;
  s.delta_t = 2;
  s.total_t = 5;
  s.initially_zero = true;
  return s;
}

void check_near(double found, double wanted, double within = 5e-5) {
  CAPTURE(found);
  CAPTURE(wanted);
  CHECK(std::abs(found - wanted) <= within);
}

}  // namespace

TEST_SUITE("sparsity/scheduler/cubic") {
  TEST_CASE("the reference run") {
    const double first[] = {0, 0, 0, 0.1, 0.2897, 0.4416, 0.5599, 0.6488, 0.7125, 0.7552, 0.7811, 0.7944, 0.7993, 0.8};
    const double second[] = {0, 0, 0, 0.1, 0.1813, 0.2464, 0.2971, 0.3352, 0.3625, 0.3808, 0.3919, 0.3976, 0.3997, 0.4};
    const auto levels = run(reference(), 16);
    for (std::size_t t = 0; t < levels.size(); ++t) {
      CAPTURE(t);
      check_near(levels[t][0], first[std::min<std::size_t>(t, 13)]);
      check_near(levels[t][1], second[std::min<std::size_t>(t, 13)]);
    }
    check_near(levels[8][0], 0.7125, 1e-12);
    check_near(levels[8][1], 0.3625, 1e-12);
    CHECK(levels[13] == Levels{0.8, 0.4});
    CubicSettings settled = reference();
    settled.initially_zero = false;
    CHECK(run(settled, 2) == std::vector<Levels>(3, Levels{0.1, 0.1}));
  }

  TEST_CASE("the defaults begin at 0 and rise slowly: what is stepped right away prunes nothing") {
    const auto levels = run({}, 1);
    CHECK(levels[0] == Levels{0, 0});
    check_near(levels[1][0], 0.0023976008, 1e-12);
    check_near(levels[1][1], 0.0011988004, 1e-12);
  }

  TEST_CASE("only the product of delta_t and total_t matters, and levels change at every step") {
    CubicSettings a = reference(), b = reference();
    b.delta_t = 10;
    b.total_t = 1;
    CHECK(run(a, 12) == run(b, 12));
    const auto levels = run(a, 12);
    for (std::size_t t = 4; t < 12; ++t) CHECK(levels[t][0] > levels[t - 1][0]);
  }

  TEST_CASE("settings per group") {
    CubicSettings s = reference();
    s.init_sl = {0.1, 0.2};
    s.init_t = {3, 1};
    s.initially_zero = {true, false};
    const auto levels = run(s, 3);
    CHECK(levels[0] == Levels{0, 0.2});
    CHECK(levels[1] == Levels{0, 0.2});
    CHECK(levels[3][0] == 0.1);
    CHECK(levels[3][1] > 0.2);
  }

  TEST_CASE("a level that begins above its end stays there; a negative product runs backwards") {
    CubicSettings s;
    s.init_sl = 0.6;
    s.total_t = 1;
    const auto above = run(s, 12, 0.5, 0.4);
    CHECK(above.front() == Levels{0.6, 0.6});
    CHECK(above.back() == Levels{0.6, 0.6});
    CubicSettings back = reference();
    back.init_t = 5;
    back.delta_t = -2;
    back.initially_zero = false;
    const double wanted[] = {0.713, 0.649, 0.56, 0.442, 0.29, 0.1, 0.1};
    const auto levels = run(back, 6);
    for (std::size_t t = 0; t < 7; ++t) check_near(levels[t][0], wanted[t], 6e-4);
  }

  TEST_CASE("last_epoch is the epoch before the first") {
    TwoGroups f;
    const CubicSL s(f.sparsifier, reference(), 4);
    CHECK(s.last_epoch() == 5);
    check_near(f.levels()[0], 0.4416);
  }

  TEST_CASE("lists of another length, NaN and a ramp of no length are refused, and the levels stay") {
    TwoGroups f;
    const auto refused = [&](auto change) {
      CubicSettings s = reference();
      change(s);
      CHECK_THROWS_AS(CubicSL(f.sparsifier, s), ValueError);
    };
    refused([](CubicSettings& s) { s.init_sl = {0.1, 0.2, 0.3}; });
    refused([](CubicSettings& s) { s.total_t = std::vector<double>{5}; });
    refused([](CubicSettings& s) { s.initially_zero = std::vector<bool>{}; });
    refused([](CubicSettings& s) { s.init_sl = std::nan(""); });
    refused([](CubicSettings& s) { s.delta_t = 0; });
    refused([](CubicSettings& s) { s.total_t = {5, 0}; });  // although PyTorch would first see it at t = init_t
    CHECK(f.levels() == Levels{0.8, 0.4});
  }

  TEST_CASE("a state brings the curve back") {
    TwoGroups a, b;
    CubicSL from(a.sparsifier, reference()), to(b.sparsifier);
    for (int i = 0; i < 4; ++i) {
      a.sparsifier.step();
      from.step();
    }
    const Arguments saved = from.state_dict();
    CHECK(saved.numbers("init_sl") == Levels{0.1, 0.1});
    CHECK(saved.integers("initially_zero") == std::vector<std::int64_t>{1, 1});
    CHECK(saved.integer("last_epoch") == 4);
    to.load_state_dict(saved);
    CHECK(to.state_dict() == saved);
    a.sparsifier.step();
    b.sparsifier.step();
    from.step();
    to.step();
    CHECK(a.levels() == b.levels());

    const Arguments before = to.state_dict();
    for (const auto& [key, value] :
         std::initializer_list<std::pair<const char*, Argument>>{{"init_t", Levels{3}},
                                                                 {"_last_sl", Levels{0.5}},
                                                                 {"base_sl", Levels{1, 1, 1}},
                                                                 {"delta_t", Levels{0, 0}},
                                                                 {"total_t", Levels{std::nan(""), 1}}}) {
      Arguments bad = saved.clone();
      bad.set(key, value);
      CHECK_THROWS_AS(to.load_state_dict(bad), ValueError);
    }
    CHECK(to.state_dict() == before);
  }
}
