#include "coppice/sparsity/scheduler/base.h"

#include <doctest/doctest.h>

#include <sstream>

#include "coppice/engine/warn.h"
#include "coppice/sparsity/scheduler/cubic.h"
#include "coppice/sparsity/sparsifier/nearly_diagonal.h"
#include "sparsity/scheduler/halves.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;
using Levels = std::vector<double>;

namespace {

/// Gives the levels that it is told, or fails.
class Told final : public BaseScheduler {
 public:
  Told(BaseSparsifier& sparsifier, Levels next) : BaseScheduler(sparsifier), next(std::move(next)) { start(); }
  Levels next;
  bool fails = false;

 private:
  [[nodiscard]] Levels levels() const override {
    if (fails) throw ValueError("[Told] told to fail");
    return next;
  }
};

class NeverStarted final : public BaseScheduler {
 public:
  explicit NeverStarted(BaseSparsifier& sparsifier) : BaseScheduler(sparsifier) {}

 private:
  [[nodiscard]] Levels levels() const override { return base_sl(); }
};

class StartedTwice final : public BaseScheduler {
 public:
  explicit StartedTwice(BaseSparsifier& sparsifier) : BaseScheduler(sparsifier) {
    start();
    start();
  }

 private:
  [[nodiscard]] Levels levels() const override { return base_sl(); }
};

}  // namespace

TEST_SUITE("sparsity/scheduler/base") {
  TEST_CASE("starting takes the groups' levels for its own, steps once, and writes them at once") {
    TwoGroups f;
    const Told s(f.sparsifier, {0.3, 0.2});
    CHECK(s.base_sl() == Levels{0.8, 0.4});
    CHECK(s.last_epoch() == 0);
    CHECK(s.step_count() == 1);
    CHECK(f.levels() == Levels{0.3, 0.2});
    CHECK(s.get_last_sl() == Levels{0.3, 0.2});
    CHECK(s.type_name() == "Scheduler");
  }

  TEST_CASE("a second scheduler works towards the levels where the first one is") {
    TwoGroups f;
    CubicSettings settings;
    settings.delta_t = 1;
    settings.total_t = 10;
    CubicSL first(f.sparsifier, settings);
    for (int i = 0; i < 3; ++i) {
      f.sparsifier.step();
      first.step();
    }
    const CubicSL second(f.sparsifier);
    CHECK(second.base_sl()[0] == doctest::Approx(0.5256).epsilon(1e-12));
    CHECK(f.levels() == Levels{0, 0});
  }

  TEST_CASE("the order is warned of at the first step alone; a new scheduler starts the count again") {
    TwoGroups f;
    f.sparsifier.step();
    f.sparsifier.step();
    Told s(f.sparsifier, {0.3, 0.2});
    CHECK(f.sparsifier.step_count() == 0);  // what was stepped before does not count
    const CatchWarnings warnings;
    s.step();
    REQUIRE(warnings.texts().size() == 1);
    CHECK(warnings.texts()[0] ==
          "Detected call of `scheduler.step()` before `sparsifier.step()`. You have to make sure you run the "
          "sparsifier.step() BEFORE any calls to the scheduler.step().");
    s.step();
    CHECK(warnings.texts().size() == 1);
  }

  TEST_CASE("get_sl warns, and computes all the same") {
    TwoGroups f;
    const Told s(f.sparsifier, {0.3, 0.2});
    const CatchWarnings warnings;
    CHECK(s.get_sl() == Levels{0.3, 0.2});
    REQUIRE(warnings.texts().size() == 1);
    CHECK(warnings.texts()[0] ==
          "To get the last sparsity level computed by the scheduler, please use `get_last_sl()`.");
  }

  TEST_CASE("fewer or more levels than groups: those that there are") {
    TwoGroups f;
    Told s(f.sparsifier, {0.3});
    CHECK(f.levels() == Levels{0.3, 0.4});
    CHECK(s.get_last_sl() == Levels{0.3, 0.4});
    f.sparsifier.step();
    s.next = {0.1, 0.2, 0.3};
    s.step();
    CHECK(f.levels() == Levels{0.1, 0.2});
  }

  TEST_CASE("a step turns updates on") {
    TwoGroups f;
    f.sparsifier.enable_mask_update = false;
    Told s(f.sparsifier, {0.3, 0.2});
    CHECK(f.sparsifier.enable_mask_update);
    f.sparsifier.enable_mask_update = false;
    f.sparsifier.step();  // counts
    const CatchWarnings warnings;
    s.step();
    CHECK(warnings.texts().empty());
    CHECK(f.sparsifier.enable_mask_update);
  }

  TEST_CASE("no groups: nothing to do. Groups without a level: refused by name") {
    WeightNormSparsifier none;
    Told s(none, {});
    none.step();
    s.step();
    CHECK(s.last_epoch() == 1);

    NearlyDiagonalSparsifier diagonal;
    diagonal.prepare(simple_linear());
    CHECK_THROWS_WITH_AS(Told(diagonal, {}), doctest::Contains("'linear1.weight'"), KeyError);
  }

  TEST_CASE("a step that fails changes nothing") {
    TwoGroups f;
    Told s(f.sparsifier, {0.3, 0.2});
    f.sparsifier.step();
    s.fails = true;
    CHECK_THROWS_AS(s.step(), ValueError);
    CHECK(s.last_epoch() == 0);
    CHECK(s.step_count() == 1);
    CHECK(f.levels() == Levels{0.3, 0.2});
    NeverStarted early(f.sparsifier);
    CHECK_THROWS_AS(early.step(), StateError);
    CHECK_THROWS_AS(StartedTwice{f.sparsifier}, StateError);
  }

  TEST_CASE("verbose prints a line per group, with the epoch if one was given") {
    TwoGroups f;
    std::ostringstream out;
    ImplementedScheduler s(f.sparsifier, &out);
    f.sparsifier.step();
    s.step(12);
    CHECK(out.str() ==
          "Adjusting sparsity level of group 0 to 8.0000e-01.\n"
          "Adjusting sparsity level of group 1 to 4.0000e-01.\n"
          "Epoch    12: adjusting sparsity level of group 0 to 4.0000e-01.\n"
          "Epoch    12: adjusting sparsity level of group 1 to 2.0000e-01.\n");
    CHECK(s.last_epoch() == 1);  // not 12
  }

  TEST_CASE("the text holds that of the sparsifier") {
    WeightNormSparsifier none;
    CHECK(to_string(ImplementedScheduler(none)) ==
          "ImplementedScheduler (\nSparsifier WeightNormSparsifier ()\n    base_sl: []\n)");
    TwoGroups f;
    CHECK(to_string(ImplementedScheduler(f.sparsifier)).ends_with("\n    base_sl: [0.8, 0.4]\n)"));
  }

  TEST_CASE("a state goes on where it was, and leaves the groups until the next step") {
    TwoGroups a, b;
    ImplementedScheduler from(a.sparsifier), to(b.sparsifier);
    a.sparsifier.step();
    from.step();
    const Arguments saved = from.state_dict();
    CHECK(saved == Arguments{{"base_sl", Levels{0.8, 0.4}},
                             {"last_epoch", std::int64_t{1}},
                             {"_step_count", std::int64_t{2}},
                             {"_last_sl", Levels{0.4, 0.2}}});
    to.load_state_dict(saved);
    CHECK(to.state_dict() == saved);
    CHECK(b.levels() == Levels{0.8, 0.4});
    to.step();
    CHECK(b.levels() == Levels{0.4, 0.2});
    CHECK(from.last_epoch() == 1);
  }

  TEST_CASE("its own state comes back although a group was prepared since") {
    nn::ModulePtr model = simple_linear();
    WeightNormSparsifier sparsifier(0.5, {1, 1});
    sparsifier.prepare(model, {at("linear1.weight", {})});
    ImplementedScheduler s(sparsifier);
    const Arguments before = s.state_dict();
    sparsifier.prepare(model, {at("linear2.weight", {})});
    REQUIRE(sparsifier.groups().size() == 2);
    s.load_state_dict(before);
    s.step();
    CHECK(s.get_last_sl().size() == 2);
    const Arguments later = s.state_dict();
    s.load_state_dict(later);
    CHECK(s.state_dict() == later);
  }

  TEST_CASE("states that are not its own are refused, and nothing changes") {
    TwoGroups f;
    ImplementedScheduler s(f.sparsifier);
    const Arguments good = s.state_dict();
    const auto with = [&](const char* key, Argument value) {
      Arguments out = good.clone();
      out.set(key, std::move(value));
      return out;
    };
    CHECK_THROWS_AS(s.load_state_dict({}), KeyError);
    CHECK_THROWS_AS(s.load_state_dict(with("init_sl", 0.5)), KeyError);
    CHECK_THROWS_AS(s.load_state_dict(with("last_epoch", 0.5)), TypeError);
    CHECK_THROWS_AS(s.load_state_dict(with("last_epoch", INT64_MAX)), ValueError);
    CHECK_THROWS_AS(s.load_state_dict(with("_step_count", std::int64_t{0})), ValueError);
    CHECK_THROWS_AS(s.load_state_dict(with("base_sl", Levels{0.5})), ValueError);
    CHECK_THROWS_AS(s.load_state_dict(with("_last_sl", std::string("none"))), TypeError);
    for (const Levels& last : {Levels{}, Levels{0.5}, Levels{0.5, 0.5, 0.5}})
      CHECK_THROWS_WITH_AS(s.load_state_dict(with("_last_sl", last)), doctest::Contains("groups; the sparsifier has 2"),
                           ValueError);
    CHECK(s.state_dict() == good);
    CHECK_THROWS_AS(CubicSL(f.sparsifier, {}, INT64_MAX), ValueError);
  }
}
