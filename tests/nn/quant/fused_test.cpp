#include "coppice/nn/quant/fused.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace {

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;

TEST_SUITE("nn/quant/fused") {
  TEST_CASE("a fused sequence calls its modules in order, and knows its observer from them") {
    const auto linear = std::make_shared<Linear>(2, 2);
    const quant::LinearReLU fused({linear, std::make_shared<ReLU>()});
    const Tensor x = Tensor::of({{1, -2}});
    CHECK(fused(x) == relu((*linear)(x)));
    CHECK(fused.child("0") == linear);
    CHECK(fused.type_name() == "intrinsic.LinearReLU");
    CHECK(dynamic_cast<const FusedModule*>(static_cast<const Module*>(&fused)) != nullptr);
    CHECK_THROWS_AS(quant::LinearReLU({linear, nullptr}), ValueError);
  }

  TEST_CASE("the types are registered, and copies are whole") {
    for (const char* type : {"intrinsic.LinearReLU", "intrinsic.ConvReLU1d", "intrinsic.ConvReLU2d",
                             "intrinsic.LinearBn1d", "intrinsic.ConvBn1d", "intrinsic.ConvBn2d",
                             "intrinsic.ConvBnReLU1d", "intrinsic.ConvBnReLU2d", "intrinsic.BNReLU2d"})
      CHECK(make_module(type)->type_name() == type);
    const quant::LinearReLU fused({std::make_shared<Linear>(2, 2), std::make_shared<ReLU>()});
    const ModulePtr copy = fused.clone();
    CHECK((*copy)(Tensor::of({{1, 2}})) == fused(Tensor::of({{1, 2}})));
    CHECK(copy->child("0") != fused.child("0"));
  }
}

}  // namespace
