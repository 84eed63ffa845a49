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
}
