// What a checkpoint that is refused leaves of a training.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/scheduler/cubic.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "coppice/sparsity/training/callbacks/checkpoint.h"
#include "coppice/sparsity/training/callbacks/sparsifier_callback.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace coppice::sparsity;

namespace {

constexpr const char* kRecipe = "{\"of\":\"this test\"}";

}  // namespace

TEST_SUITE("sparsity/training/callbacks/training_state") {
  TEST_CASE("a refused checkpoint leaves step, masks, levels, schedule, optimiser and model as they were") {
    const TempDir dir;
    const auto file = dir / "run.safetensors";
    manual_seed(0);
    const auto model = std::make_shared<nn::Sequential>(
        std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Linear>(8, 16), std::make_shared<nn::Linear>(16, 2)});
    const Tensor x = rand({4, 8});
    nn::Adam optimizer(model->parameters(), {.lr = 0.01});
    const auto callback = std::make_shared<SparsifierCallback>(
        [] {
          return std::make_unique<WeightNormSparsifier>(0.5, Block{1, 4});
        },
        [](BaseSparsifier& s) { return std::make_unique<CubicSL>(s, CubicSettings{.delta_t = 1.0, .total_t = 6.0}); });
    Generator generator(3);
    TrainContext context{.model = model.get(), .optimizer = &optimizer, .generator = &generator};
    callback->on_fit_start(context);
    const auto saved = [&](const char* name) {
      Checkpoint checkpoint(dir / name, kRecipe);
      checkpoint.add(callback->checkpoint_part());
      checkpoint.on_train_epoch_end(context);
      return slurp(dir / name);
    };
    const auto go_on = [&](const Limits& limits = {}) {
      return outcome([&] {
        Checkpoint checkpoint(file, kRecipe, {.limits = limits});
        checkpoint.add(callback->checkpoint_part());
        checkpoint.on_fit_start(context);
        return 0;
      });
    };
    const auto train = [&] {
      sum((*model)(x)).backward();
      optimizer.step();
      callback->on_train_epoch_end(context);
      ++context.step;
    };
    train();
    train();
    const std::string good = saved("run.safetensors");
    const NamedTensors all = read_safetensors(file, {.map = false});
    train();
    train();
    const std::string before = saved("before.safetensors");
    REQUIRE(before != good);
    NamedTensors no_bias = all, bad_moment = all, bad_schedule = all;
    REQUIRE(no_bias.erase("model.1.bias"));
    bad_moment.set("optimizer.0.exp_avg", ones({3}));
    std::string& text = bad_schedule.metadata().at("coppice.sparsifier");
    REQUIRE(text.find("\"last_epoch\"") != std::string::npos);
    text.replace(text.find("\"last_epoch\""), 12, "\"lost_epoch\"");
    for (const NamedTensors* bent : {&no_bias, &bad_moment, &bad_schedule}) {
      write_safetensors(file, *bent);
      const std::string said = go_on();
      CAPTURE(said);
      CHECK(said.starts_with("FormatError"));
      CHECK(saved("after.safetensors") == before);
    }
    write_safetensors(file, all);
    const std::string said = go_on({.nesting = 4});  // the limits of the file are those of its parts
    CAPTURE(said);
    CHECK(said.starts_with("LimitError"));
    CHECK(saved("after.safetensors") == before);
    CHECK(go_on() == "accepted");
    CHECK(saved("after.safetensors") == good);
  }
}
