#include "coppice/sparsity/training/callbacks/best_epoch.h"

#include <doctest/doctest.h>

#include "coppice/engine/autograd.h"
#include "coppice/engine/error.h"
#include "coppice/nn/layers/linear.h"

using namespace coppice;
using namespace coppice::sparsity;

namespace {

/// A model whose weight says which epoch it is of, and a BestEpoch that sees these evaluations.
struct Play {
  std::vector<Evaluation> seen;
  nn::Linear model{1, 1};
  TrainContext context{.model = &model, .epochs = 100};
  std::size_t at = 0;
  std::shared_ptr<BestEpoch> best;

  explicit Play(std::vector<Evaluation> evaluations, BestEpoch::Eligible eligible = {})
      : seen(std::move(evaluations)),
        best(std::make_shared<BestEpoch>([this](nn::Module&) { return seen[at++]; }, std::move(eligible))) {}
  void epoch() {
    const NoGrad off;
    model.tensor("weight").fill_(static_cast<double>(context.epoch + 1));
    best->on_train_epoch_end(context);
    ++context.epoch;
  }
  double end() {
    best->on_fit_end(context);
    return model.tensor("weight").item();
  }
};

}  // namespace

TEST_SUITE("sparsity/training/callbacks/best_epoch") {
  TEST_CASE("most correct wins, then the lowest loss, then the earlier one") {
    Play play({{5, 10, 1.0}, {7, 10, 2.0}, {7, 10, 1.5}, {7, 10, 1.5}, {6, 10, 0.1}});
    for (int i = 0; i < 5; ++i) play.epoch();
    CHECK(play.best->best_epoch() == 3);
    CHECK(play.best->rows().size() == 5);
    CHECK(play.best->rows()[1].best);
    CHECK_FALSE(play.best->rows()[3].best);
    CHECK(play.end() == 3);
  }

  TEST_CASE("only an eligible epoch may be the best; without one the model stays as it is") {
    Play late({{9, 10, 1}, {5, 10, 1}, {6, 10, 1}}, [](const TrainContext& c) { return c.epoch > 0; });
    for (int i = 0; i < 3; ++i) late.epoch();
    CHECK(late.end() == 3);
    Play never({{9, 10, 1}, {5, 10, 1}}, [](const TrainContext&) { return false; });
    for (int i = 0; i < 2; ++i) never.epoch();
    CHECK(never.best->best_epoch() == 0);
    CHECK(never.end() == 2);
  }

  TEST_CASE("patience counts the epochs since the best one") {
    Play play({{5, 10, 1}, {6, 10, 1}, {5, 10, 1}, {5, 10, 1}});
    EarlyStop stop(play.best, 2), never(play.best, 0);
    for (int i = 0; i < 3; ++i) {
      play.epoch();
      stop.on_train_epoch_end(play.context);
      CHECK_FALSE(play.context.stop);
    }
    play.epoch();
    never.on_train_epoch_end(play.context);
    CHECK_FALSE(play.context.stop);
    stop.on_train_epoch_end(play.context);
    CHECK(play.context.stop);
  }

  TEST_CASE("a run is gone on from its rows and its best tensors, which must belong together") {
    Play first({{5, 10, 1}, {6, 10, 1}, {5, 10, 1}});
    for (int i = 0; i < 3; ++i) first.epoch();
    Play again({{6, 10, 1}});
    again.best->resume(first.best->rows(), first.best->best());
    again.context.epoch = 3;
    again.epoch();  // no better
    CHECK(again.best->best_epoch() == 2);
    CHECK(again.end() == 2);
    CHECK_THROWS_AS(again.best->resume(first.best->rows(), std::nullopt), ValueError);
    CHECK_THROWS_AS(again.best->resume({}, first.best->best()), ValueError);
    CHECK(again.best->best_epoch() == 2);
  }

  TEST_CASE("what is missing is refused") {
    CHECK_THROWS_AS(BestEpoch({}), ValueError);
    CHECK_THROWS_AS(EarlyStop(nullptr, 1), ValueError);
    CHECK_THROWS_WITH_AS(EarlyStop(Play({}).best, -1), "[EarlyStop] patience must be at least 0; got -1", ValueError);
  }
}
