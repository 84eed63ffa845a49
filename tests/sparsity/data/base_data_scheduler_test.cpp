#include "coppice/sparsity/data/base_data_scheduler.h"

#include <doctest/doctest.h>

#include <functional>
#include <sstream>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/data/step_sl_scheduler.h"
#include "sparsity/data/half_scheduler.h"
#include "sparsity/data/row_sparsifier.h"

using namespace coppice;
using namespace coppice::sparsity;
using coppice::test::HalfScheduler, coppice::test::RowSparsifier;
using Texts = std::vector<std::string>;

namespace {

constexpr const char* kLevel = "sparsity_level";

Arguments level(double value) { return {{kLevel, value}}; }

/// The data of PyTorch's test: three at 0.7, one at 0.3.
std::unique_ptr<DataNormSparsifier> sparsifier() {
  auto out = std::make_unique<DataNormSparsifier>(
      DataList{{"tensor", randn({5, 5})},
               {"parameter", randn({10, 10}).requires_grad_()},
               {"emb", std::make_shared<nn::Embedding>(50, 5)}},
      DataNormOptions{.sparsity_level = 0.7, .sparse_block_shape = {1, 4}, .zeros_per_block = 2});
  out->add_data("added", randn({4, 4}), level(0.3));
  return out;
}

std::vector<double> levels(const BaseDataSparsifier& s) {
  std::vector<double> out;
  for (const std::string& name : s.names()) out.push_back(s.group(name).number(kLevel));
  return out;
}

/// Gives what a test tells it to, at any time.
class Told final : public BaseDataScheduler {
 public:
  Told(BaseDataSparsifier& s, const std::string& param, std::function<Arguments()> give, bool started = true)
      : BaseDataScheduler(s, param), give_(std::move(give)) {
    if (started) start();
  }
  [[nodiscard]] Arguments get_schedule_param() const override { return give_(); }

 private:
  std::function<Arguments()> give_;
};

}  // namespace

TEST_SUITE("sparsity/data/base_data_scheduler") {
  TEST_CASE("TestBaseDataScheduler.test_constructor") {
    const auto s = sparsifier();
    const HalfScheduler scheduler(*s);
    CHECK(&scheduler.data_sparsifier() == s.get());
    CHECK(scheduler.step_count() == 1);
    for (const std::string& name : s->names())
      CHECK(scheduler.base_param().number(name) == s->group(name).number(kLevel));
  }

  TEST_CASE("TestBaseDataScheduler.test_order_of_steps") {
    const auto s = sparsifier();
    CatchWarnings caught;
    {
      HalfScheduler scheduler(*s);
      CHECK(caught.texts().empty());
      scheduler.step();
      CHECK(caught.texts().size() == 1);
      scheduler.step();  // it looks at one call only
      CHECK(caught.texts().size() == 1);
    }
    HalfScheduler scheduler(*s);
    s->step();
    scheduler.step();
    CHECK(caught.texts().size() == 1);
  }

  TEST_CASE("TestBaseDataScheduler.test_step") {
    const auto s = sparsifier();
    const std::vector<double> before = levels(*s);
    HalfScheduler scheduler(*s);
    CHECK(levels(*s) == before);
    s->step();
    scheduler.step();
    for (std::size_t i = 0; i < before.size(); ++i) CHECK(levels(*s)[i] == before[i] * 0.5);
    for (int i = 0; i < 5; ++i) {
      s->step();
      scheduler.step();
    }
    CHECK(scheduler.step_count() == 7);
    CHECK(scheduler.last_epoch() == 6);
    CHECK(s->step_count() == 6);
  }

  TEST_CASE("TestBaseDataScheduler.test_state_dict") {
    const auto s = sparsifier();
    HalfScheduler first(*s);
    s->step();
    first.step();
    HalfScheduler second(*s);
    for (const std::string& name : s->names()) {
      CHECK_FALSE(first.base_param().number(name) == second.base_param().number(name));
      CHECK(second.base_param().number(name) == first.get_last_param().number(name));
    }
    second.load_state_dict(first.state_dict());
    CHECK(second.base_param() == first.base_param());
    CHECK(second.get_last_param() == first.get_last_param());
    CHECK(second.state_dict() == first.state_dict());
    CHECK(second.step_count() == 2);
  }

  TEST_CASE("the first step turns masks on again, and counts from the epoch given") {
    const auto s = sparsifier();
    s->enable_mask_update = false;
    const HalfScheduler scheduler(*s, kLevel, 3);
    CHECK(s->enable_mask_update);
    CHECK(scheduler.last_epoch() == 4);
    CHECK(levels(*s)[0] == 0.35);
    CHECK(scheduler.base_param().number("tensor") == 0.7);
  }

  TEST_CASE("data that come later take part, data that go vanish, and neither changes the base") {
    const auto s = sparsifier();
    HalfScheduler scheduler(*s);
    s->add_data("late", randn({4, 4}));
    s->delete_data("emb");
    s->step();
    scheduler.step();
    CHECK(s->group("late").number(kLevel) == 0.35);
    CHECK(scheduler.get_last_param().has("late"));
    CHECK_FALSE(scheduler.get_last_param().has("emb"));
    CHECK(scheduler.base_param().has("emb"));
    CHECK_FALSE(scheduler.base_param().has("late"));
  }

  TEST_CASE("some of the names change those alone; unknown ones are refused before anything is written") {
    const auto s = sparsifier();
    Arguments give;
    Told scheduler(*s, kLevel, [&] { return give; });
    CHECK(levels(*s) == std::vector<double>{0.7, 0.7, 0.7, 0.3});
    s->step();
    give = {{"emb", 0.5}};
    scheduler.step();
    CHECK(levels(*s) == std::vector<double>{0.7, 0.7, 0.5, 0.3});
    give = {{"emb", 0.1}, {"nobody", 0.1}};
    s->enable_mask_update = false;
    CHECK_THROWS_AS(scheduler.step(), KeyError);
    CHECK(levels(*s) == std::vector<double>{0.7, 0.7, 0.5, 0.3});
    CHECK(scheduler.last_epoch() == 1);
    CHECK(scheduler.step_count() == 2);
    CHECK_FALSE(s->enable_mask_update);
    CHECK_FALSE(s->contains("nobody"));
  }

  TEST_CASE("a setting that nobody has is refused; where some lack it, they are left alone") {
    RowSparsifier s({{"a", ones({2, 2})}}, {});
    s.add_data("b", ones({2, 2}), {{"rate", 0.5}});
    CHECK_THROWS_AS(HalfScheduler(s, "other"), ValueError);
    Arguments give;
    Told scheduler(s, "rate", [&] { return give; });
    CHECK_FALSE(scheduler.base_param().has("a"));
    CHECK(scheduler.base_param().size() == 2);
    s.step();
    give = {{"a", 0.1}};
    CHECK_THROWS_AS(scheduler.step(), KeyError);
    CHECK_FALSE(s.group("a").has("rate"));
    RowSparsifier empty;
    const Told of_nothing(empty, "rate", [] { return Arguments(); });
    CHECK(of_nothing.base_param().empty());
  }

  TEST_CASE("a constructor that fails leaves the sparsifier's count; one that forgot start() is told") {
    RowSparsifier s({{"a", ones({2, 2})}}, level(0.5));
    s.step();
    CHECK_THROWS_AS(Told(s, kLevel, []() -> Arguments { throw ValueError("no"); }), ValueError);
    CHECK(s.step_count() == 1);
    Told unstarted(
        s, kLevel, [] { return Arguments(); }, false);
    CHECK_THROWS_AS(unstarted.step(), StateError);
  }

  TEST_CASE("a step writes a line for each value where it is asked to") {
    RowSparsifier s({{"a", ones({2, 2})}}, level(0.5));
    std::ostringstream log;
    HalfScheduler scheduler(s, kLevel, -1, &log);
    s.step();
    scheduler.step();
    CHECK(log.str() == "Adjusting sparsity_level for group a to 0.5\nAdjusting sparsity_level for group a to 0.25\n");
    CHECK(
        to_string(scheduler) ==
        "BaseDataScheduler (\nData Sparsifier BaseDataSparsifier (\n\tData Group\n\t    name: a\n\t    sparsity_level: "
        "0.25\n)\n    sparsity_level: {'a': 0.5}\n)");
  }

  TEST_CASE("a state writes nothing into the sparsifier; one with wrong values changes nothing") {
    RowSparsifier s({{"a", ones({2, 2})}}, level(0.5));
    HalfScheduler scheduler(s);
    const Arguments before = scheduler.state_dict();
    s.step();
    scheduler.step();
    scheduler.load_state_dict(before);
    CHECK(s.group("a").number(kLevel) == 0.25);
    CHECK(scheduler.last_epoch() == 0);
    for (const auto& [key, value] : before) {
      Arguments lacking;
      for (const auto& [other, kept] : before)
        if (other != key) lacking.set(other, kept);
      CHECK_THROWS_AS(scheduler.load_state_dict(lacking), KeyError);
      Arguments wrong = before;
      wrong.set(key, true);
      CHECK_THROWS_AS(scheduler.load_state_dict(wrong), TypeError);
    }
    Arguments more = before;
    more.set("gamma", 2.0);
    CHECK_THROWS_AS(scheduler.load_state_dict(more), KeyError);
    Arguments negative = before;
    negative.set("_step_count", std::int64_t{0});
    CHECK_THROWS_AS(scheduler.load_state_dict(negative), ValueError);
    CHECK(scheduler.state_dict() == before);
  }

  TEST_CASE("a state of other data or of a setting that nobody has is refused, and nothing changes") {
    RowSparsifier s({{"a", ones({2, 2})}}, level(0.5));
    StepSLScheduler scheduler(s);
    const Arguments before = scheduler.state_dict();
    const auto with = [&](const char* key, const Argument& value) {
      Arguments out = before.clone();
      out.set(key, value);
      out.set("step_size", std::int64_t{7});
      return out;
    };
    CHECK_THROWS_WITH_AS(scheduler.load_state_dict(with("schedule_param", "other")),
                         "[BaseDataScheduler] none of the data has the setting 'other'", ValueError);
    for (const char* key : {"base_param", "_last_param"})
      CHECK_THROWS_WITH_AS(scheduler.load_state_dict(with(key, Arguments{{"a", 0.5}, {"b", 0.5}})),
                           "[load_state_dict] StepSLScheduler: 'b' is no datum of the sparsifier", KeyError);
    CHECK(scheduler.state_dict() == before);
    CHECK(scheduler.step_size() == 1);
    s.step();
    scheduler.step();
    CHECK(s.group("a").number(kLevel) == 1);
  }

  TEST_CASE("a state with the names of data that were deleted since comes back") {
    const auto s = sparsifier();
    HalfScheduler scheduler(*s);
    s->delete_data("emb");
    const Arguments before = scheduler.state_dict();
    s->step();
    scheduler.step();
    scheduler.load_state_dict(before);
    CHECK(scheduler.state_dict() == before);
    CHECK(scheduler.get_last_param().has("emb"));
  }
}
