// Pruning at the ends of the number types: squares that overflow, subnormal weights, the smallest integers.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

TEST_SUITE("sparsity/prune/extreme_values") {
  TEST_CASE("ln_structured ranks what no square of a double holds") {
    const Tensor one = Tensor::from(std::vector<double>{2e200, 1e200, 3e200}, {1, 3});
    const Tensor mask = Tensor::of({{1, 0, 1}}).to(Dtype::f64);
    CHECK(LnStructured(1, 2, -1).compute_mask(one, ones_like(one)) == mask);
    const Tensor two = cat({one, one});
    CHECK(LnStructured(1, 2, -1).compute_mask(two, ones_like(two)) == cat({mask, mask}));
    const Tensor small = Tensor::from(std::vector<double>{2e-200, 1e-200, 3e-200, 2e-200, 1e-200, 3e-200}, {2, 3});
    CHECK(LnStructured(1, 2, -1).compute_mask(small, ones_like(small)) == cat({mask, mask}));
    CHECK(LnStructured(1, -2, -1).compute_mask(two, ones_like(two)) == cat({mask, mask}));
  }

  TEST_CASE("pruning keeps subnormal weights: identity and remove change no bit, n = 0 counts them") {
    const int before = num_threads();
    for (const int threads : {1, 2, 7}) {
      set_num_threads(threads);
      nn::Linear layer(300, 300);
      const Tensor values = full({300, 300}, 1e-40);
      {
        NoGrad guard;
        layer.tensor("weight").copy_(values);
      }
      identity(layer, "weight");
      CHECK(layer.tensor("weight") == values);
      remove(layer, "weight");
      CHECK(layer.tensor("weight") == values);
      const Tensor rows = Tensor::of({{1e-40, 1e-40, 1e-40}, {1, 2, 0}});
      CHECK(LnStructured(1, 0, 0).compute_mask(rows, ones_like(rows)) == Tensor::of({{1, 1, 1}, {0, 0, 0}}));
      CHECK(LnStructured(1, 2, 0).compute_mask(rows, ones_like(rows)) == Tensor::of({{0, 0, 0}, {1, 1, 1}}));
    }
    set_num_threads(before);
  }

  TEST_CASE("int8 -128 is the largest under L1; with PyTorch's ties it goes first, as there") {
    const Tensor t = Tensor::of({-128, 5, -7, 0}).to(Dtype::i8);
    const auto mask = [&](TieRule ties) { return L1Unstructured(1, ties).compute_mask(t, ones_like(t)); };
    CHECK(mask(TieRule::lowest_index) == Tensor::of({1, 1, 1, 0}).to(Dtype::i8));
    CHECK(mask(TieRule::pytorch) == Tensor::of({0, 1, 1, 1}).to(Dtype::i8));
  }
}
