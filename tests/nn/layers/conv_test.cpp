// What convolution layers add to the operation: first values, settings. Values: PyTorch 2.13.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::nn;
using coppice::testing::differs;

TEST_SUITE("nn/layers/conv") {
  TEST_CASE("initial values are PyTorch's for one seed: Conv2d, then Embedding") {
    constexpr Tolerance kPrinted{0, 6e-5};
    manual_seed(0);
    const Conv2d conv(1, 1, 2);
    const Embedding embedding(2, 2);
    CHECK(differs(conv.tensor("weight").detach(), Tensor::of({-0.0037, 0.2682, -0.4115, -0.3680}).reshape({1, 1, 2, 2}),
                  kPrinted) == "");
    CHECK(differs(embedding.tensor("weight").detach(), Tensor::of({{0.5507, 0.2704}, {0.6472, 0.2490}}), kPrinted) ==
          "");
  }

  TEST_CASE("convolutions refuse settings that do not fit") {
    CHECK_THROWS_AS(Conv2d(0, 1, 1), ValueError);
    CHECK_THROWS_AS(Conv2d(1, 1, 0), ValueError);
    CHECK_THROWS_AS(Conv2d(1, 1, 3, 0), ValueError);
    CHECK_THROWS_AS(Conv2d(1, 1, 3, 1, -1), ValueError);
    CHECK_THROWS_AS((Conv2d(ConvSettings{3, 4, {3}, {.groups = 2}, true})), ValueError);
    CHECK_THROWS_AS((Conv2d(ConvSettings{1, 1, {3, 3, 3}, {}, true})), ValueError);
    CHECK_THROWS_AS((Conv1d(ConvSettings{1, 1, {3}, {.dilation = {0}}, true})), ValueError);
    CHECK_THROWS_AS((Conv1d(ConvSettings{1, 1, {1}, {.padding = {std::int64_t{INT32_MAX} + 1}}, true})), ValueError);
    CHECK_THROWS_AS((void)Conv2d(3, 4, 3)(ones({1, 2, 5, 5})), ShapeError);
    CHECK_THROWS_AS((void)Conv2d(3, 4, 3)(ones({1, 3, 2, 5})), ShapeError);
    CHECK_THROWS_AS((void)make_module("Conv2d", {{"in_channels", std::int64_t{1}},
                                                 {"out_channels", std::int64_t{1}},
                                                 {"kernel_size", std::int64_t{1}},
                                                 {"padding_mode", std::string("reflect")}}),
                    NotSupported);
  }

  TEST_CASE("a convolution is the operation with the layer's tensors, in one, two and three axes") {
    const NoGrad off;
    const Conv1d one(ConvSettings{2, 4, {3}, {.stride = {2}, .groups = 2}, true});
    const Tensor x = randn({3, 2, 9});
    CHECK(one(x) == conv1d(x, one.tensor("weight"), one.tensor("bias"), {.stride = {2}, .groups = 2}));
    const Conv3d three(ConvSettings{1, 2, {1, 2, 3}, {}, false});
    const Tensor v = randn({1, 1, 3, 4, 5});
    CHECK(three(v) == conv3d(v, three.tensor("weight"), Tensor()));
    CHECK(three.parameters().size() == 1);
    CHECK(Conv2d(3, 8, 3, 2, 1)(ones({2, 3, 7, 7})).shape() == Shape{2, 8, 4, 4});
  }
}
