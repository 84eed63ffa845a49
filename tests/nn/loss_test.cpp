// Losses as modules.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::nn;
using coppice::testing::differs;

TEST_SUITE("nn/loss") {
  TEST_CASE("losses reduce as told") {
    const Tensor logits = Tensor::of({{0, 0}, {0, 0}}), target = Tensor::from(std::vector<std::int64_t>{0, 1}, {2});
    const double one = std::log(2.0);
    CHECK(CrossEntropyLoss()(logits, target).item() == doctest::Approx(one));
    CHECK(CrossEntropyLoss(Reduction::sum)(logits, target).item() == doctest::Approx(2 * one));
    CHECK(CrossEntropyLoss(Reduction::none)(logits, target).shape() == Shape{2});
    CHECK(MSELoss()(Tensor::of({1, 3}), Tensor::of({0, 0})).item() == 5);
    CHECK(MSELoss(Reduction::sum)(Tensor::of({1, 3}), Tensor::of({0, 0})).item() == 10);
    CHECK_THROWS_AS((void)CrossEntropyLoss()(TensorList{logits}), ValueError);
    CHECK_THROWS_AS((void)make_module("MSELoss", {{"reduction", std::string("all")}}), ValueError);
  }
}
