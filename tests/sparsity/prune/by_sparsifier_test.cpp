// A sparsifier as a method of pruning.
#include "coppice/sparsity/prune/by_sparsifier.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using prune::BySparsifier;

namespace {

const std::vector<std::int64_t> kSingle{1, 1};

std::shared_ptr<nn::Linear> layer(const Tensor& weight) {
  auto m = std::make_shared<nn::Linear>(weight.size(1), weight.size(0));
  m->tensor("weight").detach().copy_(weight);
  return m;
}

/// Single entries, a share of them.
BySparsifier entries(double level, TieRule ties = TieRule::lowest_index) {
  return BySparsifier("weight_norm", {{"sparsity_level", level}, {"sparse_block_shape", kSingle}}, ties);
}

}  // namespace

TEST_SUITE("sparsity/prune/by_sparsifier") {
  TEST_CASE("masks a layer as every method does") {
    const auto m = layer(Tensor::of({{4, 3, -2, 1}, {1, -2, 3, -4}}));
    prune::apply(*m, "weight", BySparsifier("nm", {{"pattern", "2:4"}}));
    CHECK(m->tensor("weight_mask") == Tensor::of({{1, 1, 0, 0}, {0, 0, 1, 1}}));
    CHECK(m->tensor("weight_mask").dtype() == Dtype::f32);
    CHECK(m->tensor("weight_orig") == Tensor::of({{4, 3, -2, 1}, {1, -2, 3, -4}}));
  }

  TEST_CASE("what is pruned stays pruned and counts for the level") {
    const auto m = layer(Tensor::of({{8, 1, 6, 3}, {2, 7, 4, 5}}));
    prune::custom_from_mask(*m, "weight", Tensor::of({{0, 1, 1, 1}, {1, 0, 1, 1}}));  // the two largest
    prune::apply(*m, "weight", entries(0.25));
    CHECK(m->tensor("weight_mask") == Tensor::of({{0, 1, 1, 1}, {1, 0, 1, 1}}));
    prune::apply(*m, "weight", entries(0.5));
    CHECK(m->tensor("weight_mask") == Tensor::of({{0, 0, 1, 1}, {0, 0, 1, 1}}));
    prune::apply(*m, "weight", entries(0));
    CHECK(m->tensor("weight_mask") == Tensor::of({{0, 0, 1, 1}, {0, 0, 1, 1}}));
    prune::l1_unstructured(*m, "weight", 1);  // the other family's method goes on from there
    CHECK(m->tensor("weight_mask") == Tensor::of({{0, 0, 1, 0}, {0, 0, 1, 1}}));
  }

  TEST_CASE("hidden NaN is as good as zero, others rank above every number; masks keep numbers other than one") {
    const auto m = layer(Tensor::of({{NAN, 1, 2, NAN}}));
    prune::custom_from_mask(*m, "weight", Tensor::of({{0, 1, 0.5, 1}}));
    prune::apply(*m, "weight", entries(0.5));
    CHECK(m->tensor("weight_mask") == Tensor::of({{0, 0, 0.5, 1}}));
  }

  TEST_CASE("its steps come back from data, and make the same masks") {
    for (const SparsifierKind& kind : sparsifier_kinds())
      for (const TieRule ties : {TieRule::lowest_index, TieRule::pytorch}) {
        CAPTURE(kind.name);
        const BySparsifier method(kind.name, {}, ties);
        const nn::MaskStep step = method.steps().at(0);
        CHECK(step.type == "BySparsifier");
        CHECK(step.arguments.text("sparsifier") == kind.name);
        CHECK(step.arguments.has("ties") == (kind.has_ties && ties == TieRule::pytorch));
        const prune::MethodPtr again = prune::make_method(step);
        CHECK(again->arguments() == method.arguments());
        const Tensor same = ones({8, 8});
        CHECK(again->prune(same) == method.prune(same));
      }
    CHECK_THROWS_AS((void)prune::make_method({"BySparsifier", {{"sparsifier", "none"}}}), KeyError);
    CHECK_THROWS_AS((void)prune::make_method({"BySparsifier", {}}), KeyError);
    CHECK_THROWS_AS((void)prune::make_method({"BySparsifier", {{"sparsifier", "nm"}, {"pattern", "9:4"}}}), ValueError);
    CHECK_THROWS_AS((void)prune::make_method({"BySparsifier", {{"sparsifier", "nm"}, {"ties", "all"}}}), ValueError);
  }

  TEST_CASE("a tensor that it cannot take stays as it is") {
    const auto m = layer(ones({4, 6}));
    CHECK_THROWS_AS(prune::apply(*m, "weight", BySparsifier("nm")), ShapeError);
    CHECK_THROWS_AS(prune::apply(*m, "bias", BySparsifier("nearly_diagonal")), ShapeError);
    CHECK_FALSE(prune::is_pruned(*m));
    CHECK_THROWS_AS((void)BySparsifier("nm").compute_mask(ones({4}), ones({8})), ShapeError);
    CHECK_THROWS_AS(BySparsifier("nm", {{"block", kSingle}}), KeyError);
    CHECK_THROWS_AS(entries(std::nan("")), ValueError);
  }
}
