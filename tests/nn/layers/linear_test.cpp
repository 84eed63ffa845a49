// Linear, Identity and Flatten.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::nn;
using coppice::testing::differs;

TEST_SUITE("nn/layers/linear") {
  TEST_CASE("Linear takes inputs of every rank, also without inputs or outputs") {
    const Linear m(3, 2);
    CHECK(m(ones({3})).shape() == Shape{2});
    CHECK(m(ones({4, 5, 3})).shape() == Shape{4, 5, 2});
    CHECK(m(ones({0, 3})).shape() == Shape{0, 2});
    CHECK(Linear(3, 0)(ones({2, 3})).shape() == Shape{2, 0});
    CHECK(Linear(0, 2)(ones({2, 0})) == zeros({2, 2}));
    CHECK_THROWS_AS((void)m(ones({2})), ShapeError);
    CHECK_THROWS_AS(Linear(-1, 2), ValueError);
    CHECK(m.in_features() == 3);
    CHECK(m.out_features() == 2);
  }

  TEST_CASE("Flatten joins the axes it is told; Identity gives the input itself") {
    const Tensor x = arange(0, 24).reshape({2, 3, 4});
    CHECK(Flatten()(x).shape() == Shape{2, 12});
    CHECK(Flatten(0, 1)(x).shape() == Shape{6, 4});
    CHECK_THROWS_AS((void)Flatten(2, 1)(x), Error);
    CHECK(Identity()(x).is(x));
  }

  TEST_CASE("without a bias there is none, and names are those of the slots") {
    const Linear m(3, 2, false);
    CHECK(m.parameters().size() == 1);
    CHECK(m(Tensor::of({1, 0, 0})).shape() == Shape{2});
    CHECK_FALSE(m.arguments().boolean("bias", true));
    CHECK_THROWS_AS((void)make_module("Linear", {{"in_features", std::int64_t{3}}}), KeyError);
  }
}
