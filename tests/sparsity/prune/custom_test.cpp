// A mask that the caller brings.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

TEST_SUITE("sparsity/prune/custom") {
  TEST_CASE("it is multiplied into the mask so far, whatever numbers it holds, in that mask's type") {
    const Tensor t = Tensor::of({1, 2, 3});
    const CustomFromMask method(Tensor::of({1, 0, 0.5}).to(Dtype::f64));
    CHECK(method.compute_mask(t, Tensor::of({1, 1, 0.5})) == Tensor::of({1, 0, 0.25}));
    CHECK(method.first_mask(t, Dtype::f32) == Tensor::of({1, 0, 0.5}));
    CHECK(CustomFromMask(Tensor::of({1, 0, 1}).to(Dtype::boolean)).first_mask(t, Dtype::f32) == Tensor::of({1, 0, 1}));
    CHECK(method.pruning_type() == PruningType::global);
  }

  TEST_CASE("nothing broadcasts, and a mask there must be") {
    const Tensor t = ones({2, 3});
    CHECK_THROWS_AS((void)CustomFromMask(ones({3})).compute_mask(t, t), ShapeError);
    CHECK_THROWS_AS((void)CustomFromMask().compute_mask(t, t), StateError);
    nn::Linear m(3, 2);
    CHECK_THROWS_AS(custom_from_mask(m, "weight", ones({3, 2})), ShapeError);
    CHECK(m.tensor("weight").is_leaf());
  }

  TEST_CASE("in a module it counts for all entries again, also where the mask has zeros") {
    nn::Linear m(2, 2, false);
    custom_from_mask(m, "weight", Tensor::of({{1, 0}, {1, 1}}));
    custom_from_mask(m, "weight", Tensor::of({{0, 1}, {1, 1}}));
    CHECK(m.tensor("weight_mask") == Tensor::of({{0, 0}, {1, 1}}));
    const auto method = std::dynamic_pointer_cast<const PruningContainer>(method_of(m, "weight"));
    REQUIRE(method != nullptr);
    CHECK(method->size() == 2);
  }
}
