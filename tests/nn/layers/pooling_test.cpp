// Pooling layers: the operation, with settings as PyTorch names them.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::nn;
using coppice::testing::differs;

TEST_SUITE("nn/layers/pooling") {
  TEST_CASE("pooling refuses settings beyond 2^31 - 1, as the operations do") {
    const std::int64_t most = INT32_MAX, one = 1;
    for (const char* type : {"MaxPool2d", "AvgPool2d"}) {
      CHECK_NOTHROW((void)make_module(type, {{"kernel_size", most}, {"stride", most}, {"padding", most}}));
      CHECK_THROWS_AS((void)make_module(type, {{"kernel_size", most + 1}}), ValueError);
      CHECK_THROWS_AS((void)make_module(type, {{"kernel_size", std::int64_t{0}}}), ValueError);
      CHECK_THROWS_AS((void)make_module(type, {{"kernel_size", one}, {"stride", most + 1}}), ValueError);
      CHECK_THROWS_AS((void)make_module(type, {{"kernel_size", one}, {"padding", -one}}), ValueError);
    }
    CHECK_THROWS_AS((void)make_module("MaxPool2d", {{"kernel_size", one}, {"dilation", most + 1}}), ValueError);
    CHECK_THROWS_AS((void)make_module("AdaptiveAvgPool2d", {{"output_size", most + 1}}), ValueError);
  }

  TEST_CASE("each is its operation, and its settings go both ways") {
    const Tensor x = randn({2, 3, 7, 6});
    const PoolOptions o{.kernel = {3, 2}, .stride = Pair{2, 1}, .padding = {1, 1}, .ceil_mode = true};
    CHECK(MaxPool2d(o)(x) == max_pool2d(x, o));
    CHECK(MaxPool2d(2)(x) == max_pool2d(x, {.kernel = {2, 2}}));
    CHECK(AvgPool2d(o)(x) == avg_pool2d(x, o));
    CHECK(AdaptiveAvgPool2d({2, 3})(x) == adaptive_avg_pool2d(x, {2, 3}));
    for (const ModulePtr& m : {ModulePtr(std::make_shared<MaxPool2d>(o)), ModulePtr(std::make_shared<AvgPool2d>(o)),
                               ModulePtr(std::make_shared<AdaptiveAvgPool2d>(Pair{1, 2}))}) {
      const ModulePtr back = make_module(std::string(m->type_name()), m->arguments());
      CHECK(back->arguments() == m->arguments());
      CHECK((*back)(x) == (*m)(x));
    }
  }
}
