#include "coppice/sparsity/training/callbacks/training_aware_data_sparsity.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/data/step_sl_scheduler.h"
#include "coppice/sparsity/mask_ops.h"
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

namespace {

constexpr const char* kRecipe = "{\"of\":\"this test\"}";

std::shared_ptr<nn::Sequential> net() {
  manual_seed(0);
  return std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      std::make_shared<Linear>(8, 4), std::make_shared<nn::ReLU>(), std::make_shared<Linear>(4, 2)});
}

Dataset points() { return test::points(40, 8, 2); }

std::shared_ptr<TrainingAwareDataSparsity> aware(double level = 0.5, double gamma = 2) {
  return std::make_shared<TrainingAwareDataSparsity>(
      [level] {
        return std::make_unique<DataNormSparsifier>(
            DataNormOptions{.sparsity_level = level, .sparse_block_shape = {1, 4}});
      },
      [gamma](BaseDataSparsifier& s) { return std::make_unique<StepSLScheduler>(s, "sparsity_level", 1, gamma); });
}

double level(const TrainingAwareDataSparsity& callback) {
  return callback.data_sparsifier()->group("0_weight").number("sparsity_level");
}
double zeros_in_mask(const TrainingAwareDataSparsity& callback) {
  return sparsity_of(callback.data_sparsifier()->get_mask("0_weight"));
}

struct Result {
  nn::ModulePtr model;
  std::shared_ptr<TrainingAwareDataSparsity> callback;
};

/// @param file  of the checkpoint; empty: none. @param stop  after so many epochs; 0: never
Result train(const std::filesystem::path& file = {}, std::int64_t stop = 0, std::int64_t epochs = 4) {
  Result out{net(), aware(0.1, 1.5)};
  nn::Adam optimizer(out.model->parameters(), {.lr = 0.01});
  Trainer trainer({.epochs = epochs, .batch = 16, .seed = 3});
  trainer.add(out.callback);
  if (!file.empty()) {
    const auto checkpoint = std::make_shared<Checkpoint>(file, kRecipe);
    checkpoint->add(out.callback->checkpoint_part());
    trainer.add(checkpoint);
  }
  if (stop > 0) trainer.add(std::make_shared<StopAfter>(stop));
  try {
    trainer.fit(*out.model, optimizer, points());
  } catch (const Stop&) {
  }
  return out;
}

}  // namespace

TEST_SUITE("sparsity/training/callbacks/training_aware_data_sparsity") {
  TEST_CASE("a checkpoint that is refused behind this part, or is beyond the limits, starts nothing") {
    const CatchWarnings replaced;
    const TempDir dir;
    const auto file = dir / "run.safetensors";
    train(file, 2);
    const NamedTensors good = read_safetensors(file, {.map = false});
    const auto go_on = [&](const NamedTensors& all, const Limits& limits) {
      write_safetensors(file, all);
      const auto model = net();
      nn::Adam optimizer(model->parameters(), {.lr = 0.01});
      Generator generator(3);
      TrainContext context{.model = model.get(), .optimizer = &optimizer, .generator = &generator};
      const auto callback = aware(0.1, 1.5);
      Checkpoint checkpoint(file, kRecipe, {.limits = limits});
      checkpoint.add(callback->checkpoint_part());
      const std::string said = outcome([&] { return checkpoint.on_fit_start(context), 0; });
      CHECK((callback->data_sparsifier() != nullptr) == (said == "accepted"));
      return said;
    };
    CHECK(go_on(good, {}) == "accepted");
    CHECK(go_on(good, {.extra_bytes = 0}).starts_with("LimitError"));
    NamedTensors bent = good;
    REQUIRE(bent.erase("model.0.bias"));
    CHECK(go_on(bent, {}).starts_with("FormatError"));
  }

  TEST_CASE("levels, masks and the copy over three epochs; biases take part") {
    const CatchWarnings replaced;
    const auto model = net();
    TrainContext context{.model = model.get()};
    const auto callback = aware();
    const auto row = [&](std::int64_t epoch, double wanted, double zeros) {
      CHECK(callback->data_scheduler()->last_epoch() == epoch);
      CHECK(level(*callback) == wanted);
      CHECK(zeros_in_mask(*callback) == zeros);
      check_same_bits(nn::state_dict(*callback->sparsified()), nn::state_dict(*model));
    };
    callback->on_train_start(context);
    row(0, 0.5, 0);
    const double levels[] = {1, 2, 4}, zeros[] = {0.5, 1, 1};
    for (int i = 0; i < 3; ++i) {
      callback->on_train_epoch_start(context);
      callback->on_train_epoch_end(context);
      row(i + 1, levels[i], zeros[i]);
    }
    callback->on_train_end(context);
    for (const auto& [name, parameter] : callback->sparsified()->named_parameters())
      CHECK(count_nonzero(parameter) == 0);
    CHECK(count_nonzero(model->at(0)->tensor("weight")) == 32);
  }

  TEST_CASE("the copy is pruned at the end, also where no epoch ended after a state was taken back") {
    const CatchWarnings replaced;
    const auto model = net();
    TrainContext context{.model = model.get()};
    const auto callback = aware();
    callback->on_train_start(context);
    callback->on_train_epoch_start(context);
    callback->on_train_epoch_end(context);
    callback->on_train_epoch_start(context);  // the sparsifier has copies of the data from here on
    const Tensor expected =
        mul(model->at(0)->tensor("weight").detach(), callback->data_sparsifier()->get_mask("0_weight").to(Dtype::f32));
    callback->on_train_end(context);
    CHECK(callback->sparsified()->child("0")->tensor("weight").detach() == expected);
    CHECK(sparsity_of(expected) == 0.5);
  }

  TEST_CASE("the end of a training comes once; hooks before its start are refused, but for the start of an epoch") {
    const CatchWarnings replaced;
    const auto model = net();
    TrainContext context{.model = model.get()}, empty;
    const auto callback = aware();
    callback->on_train_epoch_start(context);
    CHECK_THROWS_WITH_AS(callback->on_train_epoch_end(context),
                         "[TrainingAwareDataSparsity] on_train_epoch_end before on_train_start", StateError);
    CHECK_THROWS_AS(callback->on_train_end(context), StateError);
    CHECK_THROWS_AS(callback->on_train_start(empty), StateError);
    callback->on_train_start(context);
    callback->on_train_end(context);
    const nn::ModulePtr after = callback->sparsified()->clone();
    callback->on_train_end(context);
    check_same_bits(nn::state_dict(*callback->sparsified()), nn::state_dict(*after));
  }

  TEST_CASE("a second training begins anew: the state of the first is forgotten") {
    const CatchWarnings replaced;
    const auto model = net();
    TrainContext context{.model = model.get()};
    const auto callback = aware(0.5, 1.5);
    for (int i = 0; i < 2; ++i) {
      callback->on_train_start(context);
      CHECK_FALSE(callback->data_sparsifier_state_dict());
      callback->on_train_epoch_start(context);
      CHECK(level(*callback) == 0.5);  // 1.125 in the second run of PyTorch's
      for (int epoch = 0; epoch < 2; ++epoch) {
        callback->on_train_epoch_start(context);
        callback->on_train_epoch_end(context);
      }
      CHECK(level(*callback) == 1.125);
      callback->on_train_end(context);
    }
  }

  TEST_CASE("bad settings are refused when a training starts, with what there was left alone") {
    const auto model = net();
    TrainContext context{.model = model.get()};
    const auto bad = std::make_shared<TrainingAwareDataSparsity>(
        [] {
          return std::make_unique<DataNormSparsifier>(
              DataNormOptions{.sparse_block_shape = {1, 4}, .zeros_per_block = 5});
        },
        [](BaseDataSparsifier& s) { return std::make_unique<StepSLScheduler>(s); });
    CHECK_THROWS_AS(bad->on_train_start(context), ValueError);
    CHECK(bad->data_sparsifier() == nullptr);
    CHECK(bad->sparsified() == nullptr);
    CHECK_THROWS_AS(TrainingAwareDataSparsity({}, {}), ValueError);
  }

  TEST_CASE("a training that was interrupted ends with the bytes of one that was not") {
    const CatchWarnings replaced;
    const Result straight = train();
    for (const std::int64_t stop : {1, 3}) {
      CAPTURE(stop);
      const TempDir dir;
      train(dir / "run.safetensors", stop);
      const Result rest = train(dir / "run.safetensors");
      check_same_bits(nn::state_dict(*rest.model), nn::state_dict(*straight.model));
      check_same_bits(nn::state_dict(*rest.callback->sparsified()), nn::state_dict(*straight.callback->sparsified()));
      CHECK(level(*rest.callback) == level(*straight.callback));
      CHECK(rest.callback->data_scheduler()->state_dict() == straight.callback->data_scheduler()->state_dict());
    }
  }

  TEST_CASE("one that was done is pruned from its checkpoint alone") {
    const CatchWarnings replaced;
    const TempDir dir;
    const Result first = train(dir / "run.safetensors");
    const Result again = train(dir / "run.safetensors");
    check_same_bits(nn::state_dict(*again.callback->sparsified()), nn::state_dict(*first.callback->sparsified()));
  }

  TEST_CASE("the checkpoint of another sparsifier is refused, with its file named") {
    const CatchWarnings replaced;
    const TempDir dir;
    const auto write = [&](const auto& change) {
      std::filesystem::remove(dir / "run.safetensors");
      train(dir / "run.safetensors", 1);
      NamedTensors all = read_safetensors(dir / "run.safetensors", {.map = false});
      change(all);
      write_safetensors(dir / "run.safetensors", all);
    };
    const auto refused = [&] {
      try {
        train(dir / "run.safetensors");
      } catch (const FormatError& e) {
        return std::string(e.what()).find("run.safetensors") != std::string::npos;
      }
      return false;
    };
    write([](NamedTensors&) {});
    CHECK_FALSE(refused());
    write([](NamedTensors& all) { all.metadata().erase("coppice.data_sparsity"); });
    CHECK(refused());
    write([](NamedTensors& all) {
      std::string& text = all.metadata()["coppice.data_sparsity"];
      text.replace(text.find("0_weight"), 8, "1_weight");
    });
    CHECK(refused());
    write([](NamedTensors& all) {
      std::string& text = all.metadata()["coppice.data_sparsity"];
      text.replace(text.find("gamma"), 5, "gamme");
    });
    CHECK(refused());
  }
}
