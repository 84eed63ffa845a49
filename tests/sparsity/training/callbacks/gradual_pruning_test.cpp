#include "coppice/sparsity/training/callbacks/gradual_pruning.h"

#include <doctest/doctest.h>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/softmax.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/masks/families.h"
#include "coppice/nn/parametrize.h"
#include "coppice/sparsity/training/trainer.h"

using namespace coppice;
using namespace coppice::sparsity;

namespace {

std::shared_ptr<nn::Sequential> net() {
  manual_seed(1);
  return std::make_shared<nn::Sequential>(
      std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Linear>(8, 10), std::make_shared<nn::Linear>(10, 4)});
}

Dataset points() {
  Generator g(2);
  return {randn({24, 8}, Dtype::f32, &g), randn({24, 4}, Dtype::f32, &g)};
}

Loss squares() {
  return [](const Tensor& output, const Tensor& target) { return mse_loss(output, target); };
}

}  // namespace

TEST_SUITE("sparsity/training/callbacks/gradual_pruning") {
  TEST_CASE("masks are attached where zeros are, and only to what is chosen") {
    const auto model = net();
    {
      const NoGrad off;
      model->child("0")->tensor("weight").set_({2, 3}, 0);
    }
    const Tensor x = points().x, before = (*model)(x).detach();
    const auto slots = attach_masks(*model, is_prunable);
    CHECK(slots.size() == 2);  // no bias
    CHECK(sparsity_of(slots) == doctest::Approx(1.0 / 120));
    CHECK((*model)(x).detach() == before);
    CHECK(attach_masks(*model, is_prunable).size() == 2);  // again: nothing new
    CHECK(sparsity_of({}) == 0);
  }

  TEST_CASE("without a schedule zeros stay zeros, whatever momentum would do") {
    const auto model = net();
    {
      const NoGrad off;
      for (int i = 0; i < 8; ++i) model->child("0")->tensor("weight").set_({5, i}, 0);
    }
    const auto slots = attach_masks(*model, is_prunable);
    nn::SGD optimizer(model->parameters(), {.lr = 0.1, .momentum = 0.9});
    const auto gradual = std::make_shared<GradualPruning>(slots);
    Trainer({.epochs = 3, .batch = 5}, squares()).add(gradual).fit(*model, optimizer, points());
    CHECK(gradual->sparsity() == doctest::Approx(8.0 / 120));
    CHECK(gradual->arrived({}));
    for (int i = 0; i < 8; ++i) CHECK(model->child("0")->tensor("weight").at({5, i}) == 0);
  }

  TEST_CASE("with a schedule the sparsity rises along it, over all weights together, and no mask opens again") {
    struct Look final : Callback {
      explicit Look(std::vector<nn::MaskedSlot> s) : slots(std::move(s)) {}
      std::vector<nn::MaskedSlot> slots;
      std::vector<double> levels;
      TensorList last;
      bool opened = false;
      void on_train_batch_end(TrainContext&) override {
        levels.push_back(sparsity_of(slots));
        for (std::size_t i = 0; i < last.size(); ++i) opened = opened || count_nonzero(gt(slots[i].mask, last[i])) > 0;
        last.clear();
        for (const auto& s : slots) last.push_back(s.mask.clone());
      }
    };
    const auto model = net();
    const auto slots = attach_masks(*model, is_prunable);
    nn::Adam optimizer(model->parameters(), {.lr = 0.01});
    const auto look = std::make_shared<Look>(slots);
    const auto gradual = std::make_shared<GradualPruning>(
        slots, CubicSchedule{.initial = 0, .final = 0.75, .begin = 0, .end = 4, .every = 2});
    Trainer({.epochs = 2, .batch = 8}, squares()).add(gradual).add(look).fit(*model, optimizer, points());
    // 0.75 (1 - (1 - t/4)³) of 120 at steps 0, 2 and 4: 0, 78.75 and 90.
    CHECK(look->levels == std::vector<double>{0, 0, 79.0 / 120, 79.0 / 120, 0.75, 0.75});
    CHECK_FALSE(look->opened);
  }

  TEST_CASE("a training shorter than its ramp ends at the final sparsity") {
    const auto model = net();
    const auto slots = attach_masks(*model, is_prunable);
    nn::SGD optimizer(model->parameters(), {.lr = 0.01});
    const auto gradual = std::make_shared<GradualPruning>(slots, CubicSchedule{.final = 0.5, .end = 1000});
    CHECK_FALSE(gradual->arrived({.epoch = 0, .epochs = 2, .step = 1}));
    CHECK(gradual->arrived({.epoch = 1, .epochs = 2, .step = 1}));
    CHECK(gradual->arrived({.epoch = 0, .epochs = 2, .step = 1001}));
    Trainer({.epochs = 2, .batch = 8}, squares()).add(gradual).fit(*model, optimizer, points());
    CHECK(gradual->sparsity() == 0.5);
  }

  TEST_CASE("a FakeSparsity of two weights is chosen once, by the first") {
    const auto fake = std::make_shared<nn::FakeSparsity>(ones({2, 2}));
    const auto a = std::make_shared<nn::Linear>(2, 2, false), b = std::make_shared<nn::Linear>(2, 2, false);
    {
      const NoGrad off;
      a->tensor("weight").copy_(Tensor::of({{1, 4}, {3, 2}}));
      b->tensor("weight").copy_(Tensor::of({{90, 60}, {70, 80}}));
    }
    for (const auto& layer : {a, b}) nn::parametrize::register_parametrization(*layer, "weight", fake);
    nn::Sequential model{a, b};
    nn::SGD optimizer(model.parameters(), {.lr = 0.1});
    GradualPruning gradual(nn::masks_in(model), CubicSchedule{.final = 0.5, .end = 10});
    TrainContext context{.epoch = 0, .epochs = 1};
    context.optimizer = &optimizer;
    gradual.on_train_epoch_end(context);
    CHECK(fake->mask() == Tensor::of({{0, 1}, {1, 0}}));
    CHECK(gradual.sparsity() == 0.5);
  }

  TEST_CASE("an original that is masked itself is ranked as it is now") {
    nn::Linear model(2, 2, false);
    nn::parametrize::register_parametrization(model, "weight", std::make_shared<nn::FakeSparsity>(ones({2, 2})));
    nn::Module& list = nn::parametrize::parametrizations_of(model, "weight");
    nn::attach_mask(list, "original", ones({2, 2}));
    const NoGrad off;
    list.tensor("original_orig").copy_(Tensor::of({{1, 2}, {3, 4}}));
    const nn::MaskedSlot outer = nn::masks_in(model).at(0);
    REQUIRE(outer.fake);
    list.tensor("original_orig").copy_(Tensor::of({{4, 3}, {2, 1}}));
    nn::SGD optimizer(model.parameters(), {.lr = 0.1});
    GradualPruning gradual({outer}, CubicSchedule{.final = 0.25, .end = 10});
    TrainContext context{.epoch = 0, .epochs = 1};
    context.optimizer = &optimizer;
    gradual.on_train_epoch_end(context);
    CHECK(outer.mask == Tensor::of({{1, 1}, {1, 0}}));
  }

  TEST_CASE("a schedule without weights, or outside its rules, is refused") {
    CHECK_THROWS_AS(GradualPruning({}, CubicSchedule{}), ValueError);
    const auto model = net();
    CHECK_THROWS_AS(GradualPruning(attach_masks(*model, is_prunable), CubicSchedule{.final = 2}), ValueError);
  }
}
