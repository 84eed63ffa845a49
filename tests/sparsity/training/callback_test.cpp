#include "coppice/sparsity/training/callback.h"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

#include "coppice/engine/error.h"
#include "sparsity/training/diary.h"

using namespace coppice;
using namespace coppice::sparsity;

TEST_SUITE("sparsity/training/callback") {
  TEST_CASE("callbacks are called in the order in which they were added") {
    std::string page;
    CallbackList list;
    list.add(std::make_shared<test::Diary>(page, "a"));
    list.add(std::make_shared<test::Diary>(page, "b"));
    TrainContext context;
    list.fire(&Callback::on_train_start, context);
    list.fire(&Callback::on_fit_end, context);
    CHECK(page == "a:train_start b:train_start a:fit_end b:fit_end ");
    CHECK_THROWS_AS(list.add(nullptr), ValueError);
    CHECK(list.all().size() == 2);
  }

  TEST_CASE("a callback that throws skips those behind it; on_exception reaches all, whatever one of them throws") {
    std::string page;
    CallbackList list;
    list.add(std::make_shared<test::Diary>(page, "a", "train_end exception"));
    list.add(std::make_shared<test::Diary>(page, "b"));
    TrainContext context;
    CHECK_THROWS_WITH_AS(list.fire(&Callback::on_train_end, context), "a at train_end", std::runtime_error);
    list.fire_exception(context, std::make_exception_ptr(std::runtime_error("first")));
    CHECK(page == "a:train_end a:exception b:exception ");
  }

  TEST_CASE("a loop of one's own marks its epochs by a scope") {
    std::string page;
    CallbackList list;
    list.add(std::make_shared<test::Diary>(page, "a"));
    TrainContext context;
    for (int i = 0; i < 2; ++i) {
      EpochScope epoch(list, context);
      epoch.finish();
      CHECK_THROWS_WITH_AS(epoch.finish(), "[EpochScope] finish() was called before", StateError);
    }
    CHECK(context.epoch == 2);
    CHECK(page == "a:epoch_start a:epoch_end a:epoch_start a:epoch_end ");
    page.clear();
    try {
      const EpochScope epoch(list, context);
      throw std::runtime_error("in the loop");
    } catch (const std::runtime_error&) {
    }
    CHECK(page == "a:epoch_start ");
    CHECK(context.epoch == 2);
  }
}
