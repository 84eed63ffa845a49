#include "coppice/sparsity/sparsifier/global_norm.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/prune/global.h"
#include "coppice/sparsity/prune/unstructured.h"
#include "coppice/sparsity/scheduler/lambda.h"

using namespace coppice;
using namespace coppice::sparsity;
using nn::Linear;

namespace {

/// Layers without bias, one for each weight.
std::shared_ptr<nn::Sequential> layers(const TensorList& weights) {
  const auto model = std::make_shared<nn::Sequential>();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto layer = std::make_shared<Linear>(weights[i].size(1), weights[i].size(0), false);
    const NoGrad guard;
    layer->tensor("weight").copy_(weights[i]);
    model->add_module(cat(i), layer);
  }
  return model;
}

TensorList masks(const BaseSparsifier& sparsifier) {
  TensorList out;
  for (const Group& group : sparsifier.groups()) out.push_back(group.mask().to(Dtype::f32));
  return out;
}

TensorList step(const TensorList& weights, double level, Block block, ScoreNorm norm = 2) {
  GlobalNormSparsifier sparsifier(level, block, std::move(norm));
  sparsifier.prepare(layers(weights));
  sparsifier.step();
  return masks(sparsifier);
}

std::int64_t zeros_in(const TensorList& all) {
  std::int64_t out = 0;
  for (const Tensor& t : all) out += t.numel() - count_nonzero(t);
  return out;
}

const Tensor kLow = Tensor::of({{1, 2}, {3, 4}}), kHigh = Tensor::of({{5, 6}, {0, 9}});

}  // namespace

TEST_SUITE("sparsity/sparsifier/global_norm") {
  TEST_CASE("blocks of all tensors compete by their means") {
    SUBCASE("single entries: as global magnitude pruning") {
      const TensorList got = step({kLow, kHigh}, 0.5, {1, 1});
      CHECK(got[0] == Tensor::of({{0, 0}, {0, 1}}));
      CHECK(got[1] == Tensor::of({{1, 1}, {0, 1}}));
    }
    SUBCASE("rows: means of squares 2.5, 12.5, 30.5, 40.5") {
      const TensorList got = step({kLow, kHigh}, 0.5, {1, 2});
      CHECK(got[0] == zeros({2, 2}));
      CHECK(got[1] == ones({2, 2}));
    }
    SUBCASE("columns: means 5, 10, 12.5, 58.5") {
      CHECK(step({kLow, kHigh}, 0.75, {2, 1})[1] == Tensor::of({{0, 1}, {0, 1}}));
    }
    SUBCASE("another norm: means of the values as they are") {
      const ScoreNorm negative([](const Tensor& t) { return neg(t); });
      CHECK(step({kLow, kHigh}, 0.25, {1, 1}, negative)[1] == Tensor::of({{1, 0}, {1, 0}}));
      CHECK(step({kLow, kHigh}, 0.5, {1, 2}, 1)[0] == zeros({2, 2}));
    }
  }

  TEST_CASE("equal masks to global_unstructured for single entries") {
    manual_seed(0);
    const auto ours = layers({randn({30, 20}), randn({7, 11}), randn({64, 3})});
    const nn::ModulePtr copy = ours->clone();
    GlobalNormSparsifier sparsifier(0.37, {1, 1}, 1);
    sparsifier.prepare(ours);
    sparsifier.step();
    std::vector<prune::Target> targets;
    for (const auto& [name, child] : copy->children()) targets.emplace_back(child.get(), "weight");
    prune::global_unstructured(targets, prune::L1Unstructured(0.37));
    for (const char* name : {"0", "1", "2"})
      CHECK(ours->child(name)->tensor("weight").detach() == copy->child(name)->tensor("weight").detach());
  }

  TEST_CASE("ties: the earlier tensor first, and in it the lower block") {
    const TensorList got = step({ones({2, 2}), ones({2, 2})}, 0.625, {1, 1});
    CHECK(got[0] == zeros({2, 2}));
    CHECK(got[1] == Tensor::of({{0, 1}, {1, 1}}));
  }

  TEST_CASE("ties under PyTorch's rule: topk among the blocks of all tensors") {
    // torch.topk(torch.ones(8), 5, largest=False) takes 4, 7, 6, 5 and 2.
    const Tensor first = Tensor::of({{1, 1, 0, 1}}), second = zeros({1, 4});
    for (const std::int64_t width : {1, 2}) {
      CAPTURE(width);
      const auto wide = [&](const Tensor& mask) {
        return stack(TensorList(static_cast<std::size_t>(width), mask.reshape({2, 2})), 2).reshape({2, 2 * width});
      };
      const Tensor weight = full({2, 2 * width}, 0.5F);
      const auto model = layers({weight, weight});
      GlobalNormSparsifier sparsifier(0.625, {1, width}, 2, TieRule::pytorch);
      sparsifier.prepare(model);
      sparsifier.step();
      CHECK(masks(sparsifier)[0] == wide(first));
      CHECK(masks(sparsifier)[1] == wide(second));
      const TensorList lowest = step({weight, weight}, 0.625, {1, width});
      CHECK(lowest[0] == wide(zeros({1, 4})));
      CHECK(lowest[1] == wide(Tensor::of({{0, 1, 1, 1}})));
      const TieRuleScope scope(TieRule::pytorch);
      CHECK(step({weight, weight}, 0.625, {1, width})[0] == wide(first));
    }
  }

  TEST_CASE("equal blocks of several sizes: as many under either rule") {
    const Tensor weight = full({3, 5}, 0.5F);
    const auto blocks = [&](TieRule ties) {
      GlobalNormSparsifier sparsifier(0.4, {1, 2}, 2, ties);
      sparsifier.prepare(layers({weight, weight}));
      sparsifier.step();
      std::int64_t out = 0;
      for (const Tensor& mask : masks(sparsifier))
        for (std::int64_t r = 0; r < 3; ++r)
          for (std::int64_t c = 0; c < 5; c += 2) out += mask.at({r, c}) == 0 ? 1 : 0;
      return out;
    };
    CHECK(blocks(TieRule::lowest_index) == 7);  // 2, 2 and 1 of each row: 12 of 30 entries are 7 blocks
    CHECK(blocks(TieRule::pytorch) == 7);
  }

  TEST_CASE("blocks at the edges count with the entries that they have; the total is off by half a block at most") {
    manual_seed(1);
    const TensorList weights{randn({10, 7}), randn({33, 5}), randn({3, 50})};
    const std::int64_t all = 70 + 165 + 150;
    for (const double level : {0.0, 0.01, 0.2, 0.5, 0.77, 0.9, 0.99, 1.0}) {
      CAPTURE(level);
      const double off = static_cast<double>(zeros_in(step(weights, level, {8, 3}))) - level * static_cast<double>(all);
      CHECK(std::abs(off) <= 12);
    }
    CHECK(zeros_in(step(weights, 1, {8, 3})) == all);
    CHECK(zeros_in(step(weights, -1, {8, 3})) == 0);
    CHECK(zeros_in(step(weights, 7, {8, 3})) == all);
    // 2 of 3 entries in one block of two and one of one: either choice but the last block alone is nearer.
    CHECK(step({Tensor::of({{1, 1, 5}})}, 0.5, {1, 2})[0] == Tensor::of({{0, 0, 1}}));
    // One entry is wanted: the block of two is as near as none, and stays.
    CHECK(step({Tensor::of({{1, 1, 5}})}, 1.0 / 3, {1, 2})[0] == Tensor::of({{1, 1, 1}}));
  }

  TEST_CASE("groups of other levels and other blocks share one ranking") {
    const auto model = layers({kLow, kHigh});
    GlobalNormSparsifier sparsifier(0.5, {1, 1});
    sparsifier.prepare(model, {{{"tensor_fqn", "0.weight"}, {"sparsity_level", 0.0}},
                               {{"tensor_fqn", "1.weight"},
                                {"sparsity_level", 1.0},
                                {"sparse_block_shape", std::vector<std::int64_t>{1, 2}}}});
    sparsifier.step();  // 4 entries: 1, 4, 9 of the first tensor, then 16; 30.5 and 40.5 are the rows of the second
    CHECK(masks(sparsifier)[0] == zeros({2, 2}));
    CHECK(masks(sparsifier)[1] == ones({2, 2}));
  }

  TEST_CASE("what is pruned ranks last and stays pruned; with score_dense it may come back") {
    for (const bool dense : {false, true}) {
      CAPTURE(dense);
      const auto model = layers({kLow, kHigh});
      GlobalNormSparsifier sparsifier(0.5, {1, 2});
      sparsifier.prepare(model);
      for (Group& group : sparsifier.groups()) group.config.set("score_dense", dense);
      sparsifier.step();
      sparsifier.groups()[0].original().detach().fill_(100);
      sparsifier.step();
      CHECK(count_nonzero(masks(sparsifier)[0]) == (dense ? 4 : 0));
    }
  }

  TEST_CASE("NaN goes last; doubles, half types and convolutions are ranked together") {
    const auto nan = static_cast<float>(NAN);
    CHECK(step({Tensor::of({{nan, 1.F}}), Tensor::of({{8.F, 9.F}})}, 0.75, {1, 1})[0] == Tensor::of({{1, 0}}));
    const auto model = layers({kLow, kHigh});
    model->at(0)->to(Dtype::f64);
    const auto conv = std::make_shared<nn::Conv2d>(nn::ConvSettings{2, 2, {1, 1}, {}, false});
    {
      const NoGrad guard;
      conv->tensor("weight").copy_(Tensor::of({{0.5F, 7.F}, {10.F, 11.F}}).reshape({2, 2, 1, 1}));
    }
    model->add_module("2", conv);
    GlobalNormSparsifier sparsifier(0.25, {1, 1});
    sparsifier.prepare(model,
                       {{{"tensor_fqn", "0.weight"}}, {{"tensor_fqn", "1.weight"}}, {{"tensor_fqn", "2.weight"}}});
    sparsifier.step();
    CHECK(masks(sparsifier)[0] == Tensor::of({{0, 1}, {1, 1}}));
    CHECK(masks(sparsifier)[1] == Tensor::of({{1, 1}, {0, 1}}));
    CHECK(masks(sparsifier)[2] == Tensor::of({{0, 1}, {1, 1}}).reshape({2, 2, 1, 1}));
  }

  TEST_CASE("the same masks for 1, 2 and 7 threads") {
    manual_seed(2);
    const TensorList weights{randn({300, 200}), randn({100, 77}), randn({64, 300})};
    set_num_threads(1);
    const TensorList one = step(weights, 0.8, {16, 1}), edges = step(weights, 0.8, {7, 3});
    for (const int threads : {2, 7}) {
      set_num_threads(threads);
      CHECK(step(weights, 0.8, {16, 1}) == one);
      CHECK(step(weights, 0.8, {7, 3}) == edges);
    }
    set_num_threads(2);
  }

  TEST_CASE("schedulers lead it; state, text and a clone are those of every sparsifier") {
    const auto model = layers({kLow, kHigh});
    GlobalNormSparsifier sparsifier(0.5, {1, 1});
    sparsifier.prepare(model);
    LambdaSL scheduler(sparsifier, LevelFunction([](std::int64_t epoch) { return epoch == 0 ? 0.25 : 1.0; }));
    sparsifier.step();
    CHECK(zeros_in(masks(sparsifier)) == 1);
    scheduler.step();
    sparsifier.step();
    CHECK(zeros_in(masks(sparsifier)) == 4);
    CHECK(to_string(sparsifier).starts_with("GlobalNormSparsifier (\n\tGroup 0"));
    const nn::ModulePtr copy = model->clone();
    const GlobalNormSparsifier twin = cloned_onto(sparsifier, copy);
    CHECK(twin.state_dict() == sparsifier.state_dict());
  }

  TEST_CASE("settings that are wrong, with no mask changed") {
    CHECK_THROWS_AS(GlobalNormSparsifier(NAN), ValueError);
    CHECK_THROWS_AS(GlobalNormSparsifier(0.5, {0, 1}), ValueError);
    const auto model = layers({kLow, kHigh});
    GlobalNormSparsifier sparsifier(0.5, {1, 1});
    sparsifier.prepare(model);
    sparsifier.groups()[1].config.set("sparsity_level", NAN);
    CHECK_THROWS_WITH_AS(sparsifier.step(), "at '1.weight': [sparsifier] sparsity_level must be a number; got NaN",
                         ValueError);
    CHECK(zeros_in(masks(sparsifier)) == 0);
    GlobalNormSparsifier biases(0.5, {1, 1});
    const auto biased =
        std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{std::make_shared<Linear>(2, 2)});
    biases.prepare(biased, {{{"tensor_fqn", "0.bias"}}});
    CHECK_THROWS_AS(biases.step(), ShapeError);
    GlobalNormSparsifier nothing(0.5, {1, 1});
    nothing.prepare(model, SparsifierConfig{});
    nothing.step();
  }

  TEST_CASE("tensors without entries take no part") {
    const auto model = layers({Tensor::empty({0, 3}), kLow});
    GlobalNormSparsifier sparsifier(0.5, {1, 1});
    sparsifier.prepare(model);
    sparsifier.step();
    CHECK(masks(sparsifier)[1] == Tensor::of({{0, 0}, {1, 1}}));
  }
}
