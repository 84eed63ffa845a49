#include "coppice/sparsity/prune/one_shot.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/create.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/random.h"

using namespace coppice;
using namespace coppice::sparsity;

namespace {

std::int64_t zeros_in(const Tensor& t) { return t.numel() - count_nonzero(t); }

TensorList masks_of(const TensorList& weights, const PruneRequest& request, std::uint64_t seed = 0) {
  Generator g(seed);
  return prune_masks(weights, request, g);
}

const TensorList kWeights{Tensor::of({{1, -2, 3}, {-4, 5, -6}}), Tensor::of({{0.5, 7}, {8, 0.25}})};

}  // namespace

TEST_SUITE("sparsity/prune/one_shot") {
  TEST_CASE("names and methods belong together") {
    CHECK(prune_method_names().size() == 6);
    for (const std::string& name : prune_method_names()) {
      const auto method = prune_method_from_name(name);
      REQUIRE(method.has_value());
      CHECK(name_of(*method) == name);
      CHECK(is_structured(*method) == name.ends_with("_structured"));
    }
    CHECK_FALSE(prune_method_from_name("l2_unstructured").has_value());
  }

  TEST_CASE("per tensor, the amount counts for each; globally, for all together") {
    const TensorList each = masks_of(kWeights, {.method = PruneMethod::l1_unstructured, .amount = 0.5});
    CHECK(each[0] == Tensor::of({{0, 0, 0}, {1, 1, 1}}));
    CHECK(each[1] == Tensor::of({{0, 1}, {1, 0}}));
    const TensorList all = masks_of(kWeights, {.method = PruneMethod::global_l1, .amount = 5});
    CHECK(all[0] == Tensor::of({{0, 0, 0}, {1, 1, 1}}));
    CHECK(all[1] == Tensor::of({{0, 1}, {1, 0}}));
    const TensorList some = masks_of(kWeights, {.method = PruneMethod::global_l1, .amount = 2});
    CHECK(some[0] == ones({2, 3}));
    CHECK(some[1] == Tensor::of({{0, 1}, {1, 0}}));
    CHECK(masks_of(kWeights, {.method = PruneMethod::global_l1, .amount = 1.0})[0] == zeros({2, 3}));
    CHECK(masks_of({}, {.method = PruneMethod::global_l1, .amount = 0.5}).empty());
  }

  TEST_CASE("structured methods take slices along their axis") {
    PruneRequest r{.method = PruneMethod::ln_structured, .amount = 1, .n = 1, .dim = 0};
    CHECK(masks_of(kWeights, r)[0] == Tensor::of({{0, 0, 0}, {1, 1, 1}}));
    CHECK(masks_of(kWeights, r)[1] == Tensor::of({{0, 0}, {1, 1}}));
    r.dim = -1;
    CHECK(masks_of(kWeights, r)[0] == Tensor::of({{0, 1, 1}, {0, 1, 1}}));
    r.n = -HUGE_VAL;
    CHECK(masks_of(kWeights, r)[1] == Tensor::of({{1, 0}, {1, 0}}));
    r.method = PruneMethod::random_structured, r.amount = 0.5;
    for (const Tensor& mask : masks_of(kWeights, r, 3)) CHECK(zeros_in(mask) % 2 == 0);
  }

  TEST_CASE("random methods draw for the weights in order, and equal seeds give equal masks") {
    for (const auto method :
         {PruneMethod::random_unstructured, PruneMethod::random_structured, PruneMethod::global_random}) {
      const PruneRequest r{.method = method, .amount = 0.5};
      const TensorList a = masks_of(kWeights, r, 7), b = masks_of(kWeights, r, 7);
      for (std::size_t i = 0; i < 2; ++i) CHECK(a[i] == b[i]);
    }
    const PruneRequest r{.method = PruneMethod::global_random, .amount = 5};
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const TensorList masks = masks_of(kWeights, r, seed);
      CHECK(zeros_in(masks[0]) + zeros_in(masks[1]) == 5);
    }
    Generator untouched(0);
    (void)prune_masks(kWeights, {.method = PruneMethod::random_unstructured, .amount = 0}, untouched);
    CHECK(untouched.state() == Generator(0).state());  // as PyTorch: nothing to prune, nothing drawn
  }

  TEST_CASE("masks have the type of their weights, also of mixed types together") {
    const TensorList mixed{kWeights[0].to(Dtype::f64), kWeights[1].to(Dtype::f16)};
    for (const auto method : {PruneMethod::l1_unstructured, PruneMethod::global_l1, PruneMethod::global_random,
                              PruneMethod::random_unstructured, PruneMethod::ln_structured}) {
      const TensorList masks = masks_of(mixed, {.method = method, .amount = 1});
      CHECK(masks[0].dtype() == Dtype::f64);
      CHECK(masks[1].dtype() == Dtype::f16);
    }
    CHECK(masks_of(mixed, {.method = PruneMethod::global_l1, .amount = 5})[1] ==
          Tensor::of({{0, 1}, {1, 0}}).to(Dtype::f16));
  }

  TEST_CASE("bad requests are refused before anything is drawn, whichever weight they do not fit") {
    Generator g(5);
    const auto refuse = [&]<class E>(const E*, const TensorList& weights, const PruneRequest& r) {
      CHECK_THROWS_AS((void)prune_masks(weights, r, g), E);
      CHECK(g.state() == Generator(5).state());
    };
    const ValueError* value = nullptr;
    const IndexError* index = nullptr;
    const ShapeError* shape = nullptr;
    refuse(value, kWeights, {.method = PruneMethod::random_unstructured, .amount = 5});  // the second has 4
    refuse(value, kWeights, {.method = PruneMethod::l1_unstructured, .amount = 5});
    refuse(value, kWeights, {.method = PruneMethod::global_random, .amount = 11});
    refuse(value, kWeights, {.method = PruneMethod::random_structured, .amount = 3, .dim = 1});
    refuse(index, {kWeights[0].reshape({1, 2, 3}), kWeights[1]},
           {.method = PruneMethod::random_structured, .amount = 1, .dim = 2});
    refuse(shape, {kWeights[0], ones({4})}, {.method = PruneMethod::random_structured, .amount = 1});
  }

  TEST_CASE("tied values: both rules prune exactly the count, PyTorch's in torch.topk's places") {
    const TensorList same{ones({2, 2}), ones({2, 2})};
    const TensorList low = masks_of(same, {.method = PruneMethod::global_l1, .amount = 3});
    CHECK(low[0] == Tensor::of({{0, 0}, {0, 1}}));
    CHECK(low[1] == ones({2, 2}));
    const TensorList torch = masks_of(same, {.method = PruneMethod::global_l1, .amount = 3, .ties = TieRule::pytorch});
    CHECK(torch[0] == ones({2, 2}));  // n = 8, k = 3: positions 4, 5, 6
    CHECK(torch[1] == Tensor::of({{0, 0}, {0, 1}}));
  }
}
