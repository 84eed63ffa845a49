#include "coppice/sparsity/training/trainer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/warn.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/norm.h"
#include "coppice/nn/optim.h"
#include "sparsity/training/diary.h"

using namespace coppice;
using namespace coppice::sparsity;

namespace {

/// y = 2 x - 1 at five places.
Dataset line() {
  const Tensor x = Tensor::from(std::vector<float>{-2, -1, 0, 1, 2}, {5, 1});
  return {x, sub(mul(x, Tensor::of(2)), Tensor::of(1))};
}

Loss squares() {
  return [](const Tensor& output, const Tensor& target) { return mse_loss(output, target); };
}

struct Threads {
  int before = num_threads();
  ~Threads() { set_num_threads(before); }
};

}  // namespace

TEST_SUITE("sparsity/training/trainer") {
  TEST_CASE("any loss and any optimiser: a line is fitted") {
    manual_seed(0);
    nn::Linear model(1, 1);
    nn::SGD optimizer(model.parameters(), {.lr = 0.1, .momentum = 0.5});
    const TrainContext end = Trainer({.epochs = 60, .batch = 2}, squares()).fit(model, optimizer, line());
    CHECK(end.epoch == 60);
    CHECK(end.step == 180);  // 2 + 2 + 1 samples
    CHECK(end.loss < 1e-6);
    CHECK(model.tensor("weight").item() == doctest::Approx(2).epsilon(1e-3));
    CHECK(model.tensor("bias").item() == doctest::Approx(-1).epsilon(1e-3));
  }

  TEST_CASE("callbacks are called at their moments, in their order") {
    std::string page;
    nn::Linear model(1, 1);
    nn::SGD optimizer(model.parameters(), {.lr = 0.01});
    Trainer({.epochs = 2, .batch = 3}, squares())
        .add(std::make_shared<test::Diary>(page, "a"))
        .fit(model, optimizer, line());
    const std::string epoch = "a:epoch_start a:batch_start a:batch_end a:batch_start a:batch_end a:epoch_end ";
    CHECK(page == "a:fit_start a:train_start " + epoch + epoch + "a:train_end a:fit_end ");
  }

  TEST_CASE("a last batch of one goes to the one before where the model has a batch norm, with a warning") {
    nn::Sequential normed{std::make_shared<nn::Linear>(1, 2), std::make_shared<nn::BatchNorm1d>(2),
                          std::make_shared<nn::Linear>(2, 1)};
    nn::Linear plain(1, 1);
    CHECK(steps_per_epoch(normed, 5, 2) == 2);
    CHECK(steps_per_epoch(normed, 5, 4) == 1);
    CHECK(steps_per_epoch(normed, 5, 3) == 2);
    CHECK(steps_per_epoch(normed, 5, 1) == 5);  // the user wants batches of one
    CHECK(steps_per_epoch(normed, 1, 4) == 1);
    CHECK(steps_per_epoch(normed, 4, 2) == 2);
    CHECK(steps_per_epoch(normed, 0, 2) == 0);
    CHECK(steps_per_epoch(plain, 5, 2) == 3);
    std::string page;
    const CatchWarnings warnings;
    nn::SGD optimizer(normed.parameters(), {.lr = 0.01});
    const TrainContext end = Trainer({.epochs = 3, .batch = 2}, squares())
                                 .add(std::make_shared<test::Diary>(page, "a"))
                                 .fit(normed, optimizer, line());
    CHECK(end.step == 6);
    CHECK(normed.at(1)->tensor("num_batches_tracked").item() == 6);
    REQUIRE(warnings.texts().size() == 1);
    CHECK(warnings.texts()[0].find("the last batch has 3") != std::string::npos);
  }

  TEST_CASE("no epochs: only the moments around them") {
    std::string page;
    nn::Linear model(1, 1);
    nn::SGD optimizer(model.parameters(), {.lr = 0.01});
    const Tensor before = model.tensor("weight").detach().clone();
    Trainer({.epochs = 0}, squares()).add(std::make_shared<test::Diary>(page, "a")).fit(model, optimizer, line());
    CHECK(page == "a:fit_start a:train_start a:train_end a:fit_end ");
    CHECK(model.tensor("weight").detach() == before);
  }

  TEST_CASE("the context counts, and its loss is the mean over the samples at the end of an epoch") {
    struct Look final : Callback {
      std::vector<std::int64_t> at_batch, at_epoch;
      double last_batches = 0, mean = 0;
      void on_train_batch_start(TrainContext& c) override { at_batch.push_back(c.step); }
      void on_train_batch_end(TrainContext& c) override { last_batches += c.loss * (c.step == 1 ? 4 : 1); }
      void on_train_epoch_end(TrainContext& c) override {
        at_epoch.push_back(c.epoch);
        mean = c.loss;
        c.stop = c.epoch == 0;
      }
    };
    nn::Linear model(1, 1);
    nn::SGD optimizer(model.parameters(), {.lr = 0.01});
    const auto look = std::make_shared<Look>();
    const TrainContext end = Trainer({.epochs = 9, .batch = 4}, squares()).add(look).fit(model, optimizer, line());
    CHECK(look->at_batch == std::vector<std::int64_t>{0, 1});
    CHECK(look->at_epoch == std::vector<std::int64_t>{0});
    CHECK(look->mean == doctest::Approx(look->last_batches / 5));
    CHECK(end.stop);
    CHECK(end.epoch == 1);
  }

  TEST_CASE("a training goes on where a callback puts it, between epochs only") {
    struct At final : Callback {
      explicit At(std::int64_t s) : step(s) {}
      std::int64_t step;
      void on_fit_start(TrainContext& c) override { c.step = step; }
    };
    nn::Linear model(1, 1);
    nn::SGD optimizer(model.parameters(), {.lr = 0.01});
    std::string page;
    Trainer fine({.epochs = 3, .batch = 3}, squares());
    fine.add(std::make_shared<At>(4)).add(std::make_shared<test::Diary>(page, "a"));
    CHECK(fine.fit(model, optimizer, line()).step == 6);
    CHECK(page.find("epoch_start") == page.rfind("epoch_start"));
    Trainer bad({.epochs = 3, .batch = 3}, squares());
    bad.add(std::make_shared<At>(3));
    CHECK_THROWS_WITH_AS(bad.fit(model, optimizer, line()),
                         "[Trainer] a training goes on between epochs of 2 steps; got step 3", ValueError);
  }

  TEST_CASE("a loss that is not finite ends the training before the step; on_exception is told") {
    std::string page;
    nn::Linear model(1, 1);
    nn::SGD optimizer(model.parameters(), {.lr = 0.25});
    Dataset data = line();
    data.y.set_({3, 0}, std::numeric_limits<double>::quiet_NaN());
    Trainer trainer({.epochs = 2, .batch = 5}, squares());
    trainer.add(std::make_shared<test::Diary>(page, "a"));
    const Tensor before = model.tensor("weight").detach().clone();
    CHECK_THROWS_WITH_AS(trainer.fit(model, optimizer, data),
                         "[Trainer] the loss became nan in epoch 1, step 1; a smaller lr than 0.25 may help",
                         ValueError);
    CHECK(page == "a:fit_start a:train_start a:epoch_start a:batch_start a:exception ");
    CHECK(model.tensor("weight").detach() == before);
  }

  TEST_CASE("1, 2 and 7 threads give the same bytes") {
    const Threads restore;
    std::vector<Tensor> weights;
    for (const int threads : {1, 2, 7}) {
      set_num_threads(threads);
      manual_seed(3);
      nn::Linear model(64, 64);
      nn::Adam optimizer(model.parameters(), {.lr = 0.01});
      Generator g(1);
      const Dataset data{randn({50, 64}, Dtype::f32, &g), randn({50, 64}, Dtype::f32, &g)};
      Trainer({.epochs = 2, .batch = 16, .seed = 5}, squares()).fit(model, optimizer, data);
      weights.push_back(model.tensor("weight").detach());
    }
    CHECK(weights[1] == weights[0]);
    CHECK(weights[2] == weights[0]);
  }

  TEST_CASE("what is asked wrongly is refused") {
    CHECK_THROWS_WITH_AS(Trainer({.epochs = -1}), "[Trainer] epochs must be at least 0; got -1", ValueError);
    CHECK_THROWS_WITH_AS(Trainer({.batch = 0}), "[Trainer] batch must be at least 1; got 0", ValueError);
    CHECK_THROWS_AS(Trainer({}, Loss()), ValueError);
    nn::Linear model(1, 1);
    nn::SGD optimizer(model.parameters(), {.lr = 0.01});
    Trainer trainer({}, squares());
    CHECK_THROWS_AS(trainer.fit(model, optimizer, {coppice::zeros({0, 1}), coppice::zeros({0, 1})}), ValueError);
    CHECK_THROWS_AS(trainer.fit(model, optimizer, {coppice::zeros({3, 1}), coppice::zeros({2, 1})}), ShapeError);
    CHECK_THROWS_AS(trainer.fit(model, optimizer, {Tensor::of(1), Tensor::of(1)}), ShapeError);
    Trainer many({}, [](const Tensor& output, const Tensor&) { return output; });
    CHECK_THROWS_AS(many.fit(model, optimizer, line()), ShapeError);  // the loss is no single number
    CHECK_THROWS_AS(trainer.add(nullptr), ValueError);
  }
}
