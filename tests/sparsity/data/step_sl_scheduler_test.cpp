#include "coppice/sparsity/data/step_sl_scheduler.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"

using namespace coppice;
using namespace coppice::sparsity;

namespace {

/// Two data of 1 .. 16, of levels 0.1 and 0.2, in single cells.
std::unique_ptr<DataNormSparsifier> two() {
  const Tensor numbers = arange(1, 17).reshape({4, 4});
  auto s = std::make_unique<DataNormSparsifier>(DataNormOptions{.sparsity_level = 0.1, .sparse_block_shape = {1, 1}});
  s->add_data("a", numbers.clone());
  s->add_data("b", numbers.clone(), {{"sparsity_level", 0.2}});
  return s;
}

struct Row {
  std::int64_t epoch, zeros_a, zeros_b;
  double a, b;
  std::int64_t steps, sparsifier_steps;
};

}  // namespace

TEST_SUITE("sparsity/data/step_sl_scheduler") {
  TEST_CASE("levels double every second epoch and take effect in the next one") {
    const auto s = two();
    StepSLScheduler scheduler(*s, "sparsity_level", 2);
    CHECK(scheduler.last_epoch() == 0);
    CHECK(scheduler.step_count() == 1);
    CHECK(s->group("a").number("sparsity_level") == 0.1);
    CHECK(s->group("b").number("sparsity_level") == 0.2);
    for (const Row& row : {Row{1, 2, 3, 0.1, 0.2, 2, 1}, Row{2, 2, 3, 0.2, 0.4, 3, 2}, Row{3, 3, 6, 0.2, 0.4, 4, 3},
                           Row{4, 3, 6, 0.4, 0.8, 5, 4}, Row{5, 6, 13, 0.4, 0.8, 6, 5}}) {
      CAPTURE(row.epoch);
      s->step();
      scheduler.step();
      CHECK(scheduler.last_epoch() == row.epoch);
      CHECK(16 - count_nonzero(s->get_mask("a")) == row.zeros_a);
      CHECK(16 - count_nonzero(s->get_mask("b")) == row.zeros_b);
      CHECK(s->group("a").number("sparsity_level") == row.a);
      CHECK(s->group("b").number("sparsity_level") == row.b);
      CHECK(scheduler.step_count() == row.steps);
      CHECK(s->step_count() == row.sparsifier_steps);
    }
  }

  TEST_CASE("levels above 1 are kept as they are and prune everything") {
    const auto s = two();
    StepSLScheduler scheduler(*s, "sparsity_level", 1, 20);
    s->step();
    scheduler.step();
    CHECK(s->group("a").number("sparsity_level") == 2);
    s->step();
    CHECK(count_nonzero(s->get_mask("a")) == 0);
  }

  TEST_CASE("an epoch given at the start multiplies at once: the base is what was there before") {
    const auto s = two();
    const StepSLScheduler scheduler(*s, "sparsity_level", 1, 2, 4);
    CHECK(scheduler.last_epoch() == 5);
    CHECK(s->group("a").number("sparsity_level") == 0.2);
    CHECK(scheduler.base_param() == Arguments{{"a", 0.1}, {"b", 0.2}});
  }

  TEST_CASE("asking for the values outside of a step warns") {
    const auto s = two();
    CatchWarnings caught;
    const StepSLScheduler scheduler(*s);
    CHECK(caught.texts().empty());
    CHECK(scheduler.get_schedule_param() == Arguments{{"a", 0.1}, {"b", 0.2}});
    CHECK(caught.texts().size() == 1);
  }

  TEST_CASE("a size of 0 is refused when made and when loaded; a state brings size and factor") {
    const auto s = two();
    CHECK_THROWS_AS(StepSLScheduler(*s, "sparsity_level", 0), ValueError);
    StepSLScheduler scheduler(*s, "sparsity_level", 3, 1.5);
    StepSLScheduler other(*s);
    other.load_state_dict(scheduler.state_dict());
    CHECK(other.step_size() == 3);
    CHECK(other.gamma() == 1.5);
    Arguments state = scheduler.state_dict();
    state.set("step_size", std::int64_t{0});
    state.set("last_epoch", std::int64_t{9});
    CHECK_THROWS_AS(other.load_state_dict(state), ValueError);
    CHECK(other.step_size() == 3);
    CHECK(other.last_epoch() == 0);
  }

  TEST_CASE("data that lack the setting are left alone") {
    const auto s = two();
    s->add_data("c", ones({2, 2}), {{"factor", 3.0}});
    StepSLScheduler scheduler(*s, "factor");
    s->step();
    scheduler.step();
    CHECK(s->group("c").number("factor") == 6);
    CHECK_FALSE(s->group("a").has("factor"));
  }
}
