// PyTorch's test_scheduler.py, case by case under its names.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/warn.h"
#include "coppice/sparsity/scheduler/cubic.h"
#include "coppice/sparsity/scheduler/lambda.h"
#include "sparsity/scheduler/halves.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;

namespace {

/// A sparsifier of level 0.5 on the only Linear of a model.
struct Fixture {
  nn::ModulePtr model =
      std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Linear>(16, 16)});
  WeightNormSparsifier sparsifier{0.5};
  Fixture() { sparsifier.prepare(model); }
  [[nodiscard]] double level() const { return sparsifier.groups()[0].config.number("sparsity_level"); }
};

CubicSettings cubic(bool initially_zero) {
  CubicSettings s;
  s.init_sl = 0.1;
  s.init_t = 3;
  s.initially_zero = initially_zero;
  return s;
}

}  // namespace

TEST_SUITE("sparsity/scheduler/torch_scheduler") {
  TEST_CASE("TestScheduler.test_constructor") {
    Fixture f;
    const ImplementedScheduler scheduler(f.sparsifier);
    CHECK(&scheduler.sparsifier() == &f.sparsifier);
    CHECK(scheduler.step_count() == 1);
    CHECK(scheduler.base_sl() == std::vector<double>{0.5});
  }

  TEST_CASE("TestScheduler.test_order_of_steps") {
    Fixture f;
    ImplementedScheduler early(f.sparsifier);
    {
      const CatchWarnings warnings;
      early.step();
      CHECK(warnings.texts().size() == 1);
    }
    ImplementedScheduler right(f.sparsifier);
    const CatchWarnings warnings;
    f.sparsifier.step();
    right.step();
    CHECK(warnings.texts().empty());
  }

  TEST_CASE("TestScheduler.test_step") {
    Fixture f;
    CHECK(f.level() == 0.5);
    ImplementedScheduler scheduler(f.sparsifier);
    CHECK(f.level() == 0.5);
    f.sparsifier.step();
    scheduler.step();
    CHECK(f.level() == 0.25);
  }

  TEST_CASE("TestScheduler.test_lambda_scheduler") {
    Fixture f;
    CHECK(f.level() == 0.5);
    LambdaSL scheduler(f.sparsifier, [](std::int64_t epoch) { return static_cast<double>(epoch) * 10; });
    CHECK(f.level() == 0);
    f.sparsifier.step();
    scheduler.step();
    CHECK(f.level() == 5);
  }

  TEST_CASE("TestCubicScheduler.test_constructor") {
    TwoGroups zero, not_zero;
    const CubicSL a(zero.sparsifier, cubic(true));
    CHECK(&a.sparsifier() == &zero.sparsifier);
    CHECK(a.step_count() == 1);
    CHECK(a.base_sl() == std::vector<double>{0.8, 0.4});
    CHECK(zero.levels() == std::vector<double>{0, 0});
    const CubicSL b(not_zero.sparsifier, cubic(false));
    CHECK(b.base_sl() == std::vector<double>{0.8, 0.4});
    CHECK(not_zero.levels() == std::vector<double>{0.1, 0.1});
  }

  TEST_CASE("TestCubicScheduler.test_step") {
    TwoGroups f;
    CubicSettings settings = cubic(true);
    settings.delta_t = 2;
    settings.total_t = 5;
    CubicSL scheduler(f.sparsifier, settings);
    const auto step = [&] {
      f.sparsifier.step();
      scheduler.step();
    };
    step();
    step();
    CHECK(scheduler.step_count() == 3);
    CHECK(f.levels() == std::vector<double>{0, 0});
    step();
    CHECK(scheduler.step_count() == 4);
    CHECK(f.levels() == std::vector<double>{0.1, 0.1});
    step();
    CHECK(scheduler.step_count() == 5);
    CHECK(std::round(10 * f.levels()[0]) == 3);
    CHECK(std::round(10 * f.levels()[1]) == 2);
    for (int i = 0; i < 10; ++i) step();
    CHECK(f.levels() == std::vector<double>{0.8, 0.4});
  }
}
