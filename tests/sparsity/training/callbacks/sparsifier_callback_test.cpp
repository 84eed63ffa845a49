#include "coppice/sparsity/training/callbacks/sparsifier_callback.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/scheduler/cubic.h"
#include "coppice/sparsity/scheduler/lambda.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "coppice/sparsity/training/callbacks/best_epoch.h"
#include "coppice/sparsity/training/trainer.h"
#include "engine/io/io_support.h"
#include "sparsity/training/callbacks/stop_after.h"
#include "sparsity/training/points.h"

using namespace coppice;
using namespace coppice::test;
using namespace coppice::sparsity;
using coppice::testing::Stop;
using coppice::testing::StopAfter;
using nn::Linear;
using Moment = SparsifierCallbackOptions::Moment;

namespace {

constexpr const char* kRecipe = "{\"of\":\"this test\"}";

std::shared_ptr<nn::Sequential> net() {
  manual_seed(0);
  return std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      std::make_shared<Linear>(8, 16), std::make_shared<nn::ReLU>(), std::make_shared<Linear>(16, 2)});
}

Dataset points(std::int64_t n = 48) { return test::points(n, 8, 2); }

SparsifierFactory blocks(double level, Block block = {1, 4}) {
  return [=] { return std::make_unique<WeightNormSparsifier>(level, block); };
}
/// base * epoch / 4, at most base
SchedulerFactory quarters() {
  return [](BaseSparsifier& s) {
    return std::make_unique<LambdaSL>(
        s, LevelFunction([](std::int64_t epoch) { return std::min(1.0, static_cast<double>(epoch) / 4); }));
  };
}

double zeros_of(const SparsifierCallback& callback) { return sparsity_of(callback.sparsifier()->groups()[0].mask()); }

/// Writes down the share of zeros that each batch trains with.
class Zeros final : public Callback {
 public:
  explicit Zeros(const SparsifierCallback& of) : of_(of) {}
  void on_train_batch_end(TrainContext&) override { seen.push_back(zeros_of(of_)); }
  std::vector<double> seen;

 private:
  const SparsifierCallback& of_;
};

}  // namespace

TEST_SUITE("sparsity/training/callbacks/sparsifier_callback") {
  TEST_CASE("prepares at the start, steps after every epoch, squashes at the end: the same parameters all along") {
    const auto model = net();
    const Tensor weight = model->at(0)->tensor("weight");
    nn::Adam optimizer(model->parameters(), {.lr = 0.01});
    const auto callback = std::make_shared<SparsifierCallback>(blocks(0.5), quarters());
    const auto zeros = std::make_shared<Zeros>(*callback);
    CHECK(callback->sparsifier() == nullptr);
    Trainer({.epochs = 6, .batch = 48}).add(callback).add(zeros).fit(*model, optimizer, points());
    // The first step prunes nothing; the level that the scheduler writes counts in the next one.
    CHECK(zeros->seen == std::vector<double>{0, 0, 0.125, 0.25, 0.375, 0.5});
    CHECK_FALSE(nn::parametrize::is_parametrized(*model->at(0), "weight"));
    CHECK(model->at(0)->tensor("weight").is(weight));
    CHECK(sparsity_of(weight) == 0.5);
    CHECK(callback->scheduler()->last_epoch() == 6);
  }

  TEST_CASE("moments and how often: batches counted over the whole training") {
    const auto run = [](Moment moment, std::int64_t every) {
      const auto model = net();
      nn::SGD optimizer(model->parameters(), {.lr = 0.01});
      const auto callback = std::make_shared<SparsifierCallback>(
          blocks(0.5), quarters(), SparsifierCallbackOptions{.moment = moment, .every = every});
      const auto zeros = std::make_shared<Zeros>(*callback);
      Trainer({.epochs = 2, .batch = 16}).add(callback).add(zeros).fit(*model, optimizer, points());
      return zeros->seen;
    };
    CHECK(run(Moment::batch_start, 1) == std::vector<double>{0, 0.125, 0.25, 0.375, 0.5, 0.5});
    CHECK(run(Moment::batch_start, 2) == std::vector<double>{0, 0, 0.125, 0.125, 0.25, 0.25});
    CHECK(run(Moment::batch_end, 2) == std::vector<double>{0, 0, 0, 0.125, 0.125, 0.25});
    CHECK(run(Moment::epoch_end, 2) == std::vector<double>{0, 0, 0, 0, 0, 0});
  }

  TEST_CASE("masks that stay, a list of tensors, no scheduler") {
    const auto model = net();
    nn::SGD optimizer(model->parameters(), {.lr = 0.01});
    const SparsifierConfig config{{{"tensor_fqn", "2.weight"}, {"sparsity_level", 0.25}}};
    const auto callback = std::make_shared<SparsifierCallback>(
        blocks(0.5), SchedulerFactory(), SparsifierCallbackOptions{.config = config, .squash = false});
    Trainer({.epochs = 1}).add(callback).fit(*model, optimizer, points());
    CHECK(callback->scheduler() == nullptr);
    CHECK_FALSE(nn::parametrize::is_parametrized(*model->at(0), "weight"));
    CHECK(nn::parametrize::is_parametrized(*model->at(2), "weight"));
    CHECK(sparsity_of(model->at(2)->tensor("weight")) == 0.25);
    TrainContext context{.model = model.get()};
    CHECK_THROWS_WITH_AS(callback->on_fit_start(context),
                         "[SparsifierCallback] masks of an earlier training stand on a model; squash them first",
                         StateError);
    callback->sparsifier()->squash_mask();
    callback->on_fit_end(context);  // nothing is left to be squashed
    callback->on_fit_start(context);
    CHECK(nn::parametrize::is_parametrized(*model->at(2), "weight"));
  }

  TEST_CASE("what was pruned comes back when the level sinks, unless it is kept") {
    for (const bool keep : {false, true}) {
      CAPTURE(keep);
      const auto model = net();
      TrainContext context{.model = model.get()};
      SparsifierCallback callback(blocks(0.5),
                                  [](BaseSparsifier& s) {
                                    return std::make_unique<LambdaSL>(
                                        s, LevelFunction([](std::int64_t epoch) { return epoch == 0 ? 1.0 : 0.5; }));
                                  },
                                  {.keep_pruned = keep});
      callback.on_fit_start(context);
      callback.on_train_epoch_end(context);
      CHECK(zeros_of(callback) == 0.5);
      callback.on_train_epoch_end(context);
      CHECK(zeros_of(callback) == (keep ? 0.5 : 0.25));
    }
  }

  TEST_CASE("zeros that were there before stay, if what is pruned is kept; no step after the last") {
    const auto model = net();
    {
      const NoGrad guard;
      model->at(0)->tensor("weight").set_({3, 3}, 0);
    }
    TrainContext context{.model = model.get()};
    SparsifierCallback callback(blocks(0.5), quarters(),
                                {.moment = Moment::batch_start, .last = 3, .keep_pruned = true});
    callback.on_fit_start(context);
    CHECK(callback.sparsifier()->groups()[0].mask().at({3, 3}) == 0);
    CHECK(count_nonzero(callback.sparsifier()->groups()[0].mask()) == 127);
    for (context.step = 0; context.step < 6; ++context.step) callback.on_train_batch_start(context);
    CHECK(callback.sparsifier()->step_count() == 4);
    CHECK(callback.sparsifier()->groups()[0].mask().at({3, 3}) == 0);
    CHECK(zeros_of(callback) < 0.4);
  }

  TEST_CASE("behind BestEpoch it squashes what the best epoch left") {
    const auto model = net();
    nn::SGD optimizer(model->parameters(), {.lr = 0.1});
    const auto callback = std::make_shared<SparsifierCallback>(
        blocks(0.5), SchedulerFactory(), SparsifierCallbackOptions{.moment = Moment::batch_start});
    std::int64_t epochs = 0;
    const auto best = std::make_shared<BestEpoch>([&](nn::Module&) {
      return Evaluation{.correct = ++epochs == 2 ? 1 : 0, .count = 1, .loss = 0};  // the second is best
    });
    Trainer({.epochs = 4}).add(best).add(callback).fit(*model, optimizer, points());
    REQUIRE(best->best_epoch() == 2);
    const Tensor original = best->best()->at("0.parametrizations.weight.original");
    const Tensor mask = best->best()->at("0.parametrizations.weight.0.mask").to(Dtype::f32);
    CHECK(model->at(0)->tensor("weight").detach() == mul(original, mask));
  }

  TEST_CASE("a training that was interrupted ends with the bytes of one that was not") {
    const auto train = [](const std::filesystem::path& file, std::int64_t stop, Moment moment) {
      const auto model = net();
      nn::Adam optimizer(model->parameters(), {.lr = 0.01});
      const auto callback = std::make_shared<SparsifierCallback>(
          blocks(0.75),
          [](BaseSparsifier& s) { return std::make_unique<CubicSL>(s, CubicSettings{.delta_t = 1.0, .total_t = 6.0}); },
          SparsifierCallbackOptions{.moment = moment, .every = 2});
      Trainer trainer({.epochs = 6, .batch = 16, .seed = 3});
      trainer.add(callback);
      if (!file.empty()) {
        const auto checkpoint = std::make_shared<Checkpoint>(file, kRecipe);
        checkpoint->add(callback->checkpoint_part());
        trainer.add(checkpoint);
      }
      if (stop > 0) trainer.add(std::make_shared<StopAfter>(stop));
      try {
        trainer.fit(*model, optimizer, points());
      } catch (const Stop&) {
        return nn::ModulePtr();
      }
      CHECK(callback->scheduler()->last_epoch() > 2);
      return nn::ModulePtr(model);
    };
    for (const Moment moment : {Moment::epoch_end, Moment::batch_start}) {
      const nn::ModulePtr straight = train({}, 0, moment);
      CHECK(sparsity_of(straight->child("0")->tensor("weight")) > 0.3);
      const TempDir dir;
      for (const std::int64_t stop : {1, 3, 4}) CHECK(train(dir / "run.safetensors", stop, moment) == nullptr);
      check_same_bits(nn::state_dict(*train(dir / "run.safetensors", 0, moment)), nn::state_dict(*straight));
    }
  }

  TEST_CASE("checkpoints that do not fit are refused with the file named, and leave the model unmasked in value") {
    const TempDir dir;
    const auto file = dir / "run.safetensors";
    const auto fit = [&](const SparsifierFactory& sparsifier, const SchedulerFactory& scheduler) {
      const auto model = net();
      nn::SGD optimizer(model->parameters(), {.lr = 0.01});
      const auto callback = std::make_shared<SparsifierCallback>(sparsifier, scheduler);
      const auto checkpoint = std::make_shared<Checkpoint>(file, kRecipe);
      checkpoint->add(callback->checkpoint_part());
      Trainer({.epochs = 2}).add(callback).add(checkpoint).fit(*model, optimizer, points());
    };
    const auto change = [&](const std::string& from, const std::string& to) {
      NamedTensors all = read_safetensors(file, {.map = false});
      std::string& text = all.metadata().at("coppice.sparsifier");
      REQUIRE(text.find(from) != std::string::npos);
      text.replace(text.find(from), from.size(), to);
      write_safetensors(file, all);
    };
    const auto said = [&] { return outcome([&] { return fit(blocks(0.5), quarters()), 0; }); };
    fit(blocks(0.5), quarters());
    CHECK(said() == "accepted");
    change("\"tensor_fqn\":\"2.weight\"", "\"tensor_fqn\":\"3.weight\"");
    CHECK(said().starts_with("FormatError"));
    std::filesystem::remove(file);
    fit(blocks(0.5), quarters());
    change("\"sparsity_level\":", "\"sparsity_lovel\":");
    CHECK(said().starts_with("FormatError"));
    CHECK(said().find("run.safetensors") != std::string::npos);
    std::filesystem::remove(file);
    fit(blocks(0.5), {});
    CHECK(said().find("lacks a scheduler") != std::string::npos);
  }

  TEST_CASE("a loss that is NaN ends the training; the checkpoint has the last good epoch, masks and all") {
    const TempDir dir;
    const auto file = dir / "run.safetensors";
    const auto fit = [&](std::int64_t bad_epoch) {
      const auto model = net();
      nn::Adam optimizer(model->parameters(), {.lr = 0.01});
      const auto callback = std::make_shared<SparsifierCallback>(blocks(0.5), quarters());
      const auto checkpoint = std::make_shared<Checkpoint>(file, kRecipe);
      checkpoint->add(callback->checkpoint_part());
      std::int64_t batches = 0;
      Trainer trainer({.epochs = 6, .batch = 48}, [&](const Tensor& output, const Tensor& target) {
        const Tensor loss = cross_entropy(output, target);
        return ++batches == bad_epoch ? mul(loss, Tensor::of(static_cast<float>(NAN))) : loss;
      });
      trainer.add(callback).add(checkpoint);
      try {
        trainer.fit(*model, optimizer, points());
      } catch (const ValueError& e) {
        CHECK(std::string(e.what()).find("in epoch 4, step 4") != std::string::npos);
        CHECK(zeros_of(*callback) == 0.25);  // as the third epoch left it
        return nn::ModulePtr();
      }
      return nn::ModulePtr(model);
    };
    CHECK(fit(4) == nullptr);
    const NamedTensors saved = read_safetensors(file);
    CHECK(saved.at("step").item<std::int64_t>() == 3);
    const nn::ModulePtr rest = fit(0);  // goes on behind the third epoch
    std::filesystem::remove(file);
    check_same_bits(nn::state_dict(*rest), nn::state_dict(*fit(0)));
  }

  TEST_CASE("what is missing is said, and nothing changes") {
    CHECK_THROWS_AS(SparsifierCallback({}), ValueError);
    CHECK_THROWS_AS(SparsifierCallback(blocks(0.5), {}, {.every = 0}), ValueError);
    const auto model = net();
    TrainContext context{.model = model.get()}, empty;
    SparsifierCallback callback(blocks(0.5));
    CHECK_THROWS_WITH_AS(callback.on_train_epoch_end(context),
                         "[SparsifierCallback] on_train_epoch_end before on_fit_start", StateError);
    CHECK_THROWS_AS(callback.on_fit_end(context), StateError);
    CHECK_THROWS_AS(callback.on_fit_start(empty), StateError);
    Linear loose(2, 2);
    TrainContext on_loose{.model = &loose};
    CHECK_THROWS_WITH_AS(callback.on_fit_start(on_loose), "[SparsifierCallback] the model must be held by a shared_ptr",
                         StateError);
    SparsifierCallback none(blocks(0.5), [](BaseSparsifier&) { return std::unique_ptr<BaseScheduler>(); });
    CHECK_THROWS_AS(none.on_fit_start(context), ValueError);
    CHECK_FALSE(nn::parametrize::is_parametrized(*model->at(0), "weight"));
    CHECK(none.sparsifier() == nullptr);
  }
}
