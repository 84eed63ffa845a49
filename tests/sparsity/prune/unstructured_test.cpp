// Methods that prune single entries.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

TEST_SUITE("sparsity/prune/unstructured") {
  TEST_CASE("the default mask is not written to; Identity and structured methods with nothing to do return it") {
    const Tensor d = ones({2, 4});
    CHECK(combine(L1Unstructured(3), d, d) != d);
    CHECK(d == ones({2, 4}));
    CHECK(prune::IdentityMethod().compute_mask(d, d).is(d));
    CHECK(LnStructured(0, 2, 0).compute_mask(d, d).is(d));
    CHECK(RandomStructured(0, 0).compute_mask(d, d).is(d));
  }

  TEST_CASE("int8 -128 is the largest under L1; with PyTorch's ties it goes first, as there") {
    const Tensor t = Tensor::of({-128, 5, -7, 0}).to(Dtype::i8);
    const auto mask = [&](TieRule ties) { return L1Unstructured(1, ties).compute_mask(t, ones_like(t)); };
    CHECK(mask(TieRule::lowest_index) == Tensor::of({1, 1, 1, 0}).to(Dtype::i8));
    CHECK(mask(TieRule::pytorch) == Tensor::of({0, 1, 1, 1}).to(Dtype::i8));
  }

  TEST_CASE("the smallest magnitudes go, of equal ones the first; NaN stays longest") {
    const Tensor t = Tensor::of({-3, 1, -1, std::numeric_limits<double>::quiet_NaN(), 2});
    CHECK(L1Unstructured(1).compute_mask(t, ones_like(t)) == Tensor::of({1, 0, 1, 1, 1}));
    CHECK(L1Unstructured(4).compute_mask(t, ones_like(t)) == Tensor::of({0, 0, 0, 1, 0}));
    CHECK(L1Unstructured(0.5).compute_mask(t, ones_like(t)) == Tensor::of({1, 0, 0, 1, 1}));  // round(2.5) is 2
    CHECK_THROWS_AS((void)L1Unstructured(6).compute_mask(t, ones_like(t)), ValueError);
  }

  TEST_CASE("random entries: as many as asked, by the generator that was given, and none drawn for a refusal") {
    Generator a(1), b(1);
    const Tensor t = ones({100});
    const RandomUnstructured with_a(30, TieRule::lowest_index, &a), with_b(30, TieRule::lowest_index, &b);
    CHECK_THROWS_AS((void)RandomUnstructured(101, TieRule::lowest_index, &a).compute_mask(t, t), ValueError);
    const Tensor mask = with_a.compute_mask(t, t);
    CHECK(count_nonzero(mask) == 70);
    CHECK(mask == with_b.compute_mask(t, t));
    CHECK_FALSE(mask == with_a.compute_mask(t, t));
  }
}
