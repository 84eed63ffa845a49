// Methods that prune whole slices.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

TEST_SUITE("sparsity/prune/structured") {
  TEST_CASE("random structured pruning takes exactly the amount, or what PyTorch takes with its tie rule") {
    const Tensor t = ones({4096, 1});
    manual_seed(1901);
    CHECK(count_nonzero(RandomStructured(2048, 0).compute_mask(t, t)) == 2048);
    manual_seed(1901);
    CHECK(count_nonzero(RandomStructured(2048, 0, TieRule::pytorch).compute_mask(t, t)) == 2047);
  }

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

  TEST_CASE("slices with the smallest norms go, of equal ones the first; axes count from either end") {
    const Tensor t = Tensor::of({{3, 4, 0}, {1, 1, 1}, {0, 5, 0}, {1, 1, 1}});
    CHECK(LnStructured(1, 2, 0).compute_mask(t, ones_like(t)) ==
          Tensor::of({{1, 1, 1}, {0, 0, 0}, {1, 1, 1}, {1, 1, 1}}));
    CHECK(LnStructured(1, 1, -1).compute_mask(t, ones_like(t)) ==
          Tensor::of({{1, 1, 0}, {1, 1, 0}, {1, 1, 0}, {1, 1, 0}}));
    CHECK(count_nonzero(LnStructured(0.5, 2, 0).compute_mask(t, ones_like(t))) == 6);
  }

  TEST_CASE("one axis, an axis that is not there, more slices than there are: in this order") {
    const Tensor v = ones({3}), t = ones({3, 2});
    CHECK_THROWS_AS((void)LnStructured(9, 2, 9).compute_mask(v, v), ShapeError);
    CHECK_THROWS_AS((void)LnStructured(9, 2, 9).compute_mask(t, t), IndexError);
    CHECK_THROWS_AS((void)LnStructured(9, 2, 0).compute_mask(t, t), ValueError);
    CHECK_THROWS_AS((void)RandomStructured(9, 9).compute_mask(v, v), ShapeError);
    CHECK_THROWS_AS((void)RandomStructured(9, 9).compute_mask(t, t), IndexError);
    CHECK_THROWS_AS((void)RandomStructured(9, 0).compute_mask(t, t), ValueError);
    CHECK_THROWS_AS((void)LnStructured(0, "nuc", 0).compute_mask(ones({2, 2, 2, 2}), ones({2, 2, 2, 2})), ValueError);
  }
}
