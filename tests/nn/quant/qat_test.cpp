#include "coppice/nn/quant/qat.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace {

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;

const QConfigPtr kQConfig = get_default_qat_qconfig("fbgemm");
const Arguments kConv{
    {"in_channels", std::int64_t{2}}, {"out_channels", std::int64_t{3}}, {"kernel_size", std::int64_t{3}}};

TEST_SUITE("nn/quant/qat") {
  TEST_CASE("the weight is rounded before it is used, and gets the gradient of that") {
    const QatLinear layer(3, 2, true, kQConfig);
    const Tensor x = randn({4, 3});
    const Tensor y = layer(x), rounded = (*layer.child("weight_fake_quant"))(layer.tensor("weight"));
    CHECK(allclose(y, linear(x, rounded, layer.tensor("bias"))));
    sum(y).backward();
    CHECK(layer.tensor("weight").grad().shape() == Shape{2, 3});
    CHECK(layer.float_type() == "Linear");
    const QatLinearReLU with_relu(3, 2, false, kQConfig);
    CHECK(min(with_relu(x)).item() >= 0);
    CHECK_FALSE(with_relu.find_tensor("bias").defined());
  }

  TEST_CASE("convolutions, with batch norm as it will be folded") {
    const Tensor x = randn({4, 2, 6, 6});
    const QatConv2d conv(kConv, kQConfig);
    CHECK(conv(x).shape() == Shape{4, 3, 4, 4});
    CHECK(min(QatConvReLU2d(kConv, kQConfig)(x)).item() >= 0);
    const auto norm = std::make_shared<BatchNorm2d>(3);
    QatConvBn2d folded(kConv, norm, kQConfig);
    const Tensor y = folded(x);
    CHECK(std::abs(mean(y).item()) < 1e-5);  // statistics of the batch
    folded.eval();
    disable_fake_quant(folded);
    const Tensor plain = conv2d(x, folded.tensor("weight"), folded.tensor("bias"));
    CHECK(allclose(folded(x), (*norm)(plain), Tolerance{1e-3, 1e-4}));
    CHECK(min(QatConvBnReLU2d(kConv, std::make_shared<BatchNorm2d>(3), kQConfig)(x)).item() >= 0);
  }

  TEST_CASE("clones and arguments are whole") {
    const QatLinear layer(3, 2, true, kQConfig);
    const Tensor x = randn({4, 3});
    CHECK((*layer.clone())(x) == layer(x));
    CHECK(QatLinear(layer.arguments()).tensor("weight").shape() == Shape{2, 3});
    const QatConv2d conv(kConv, kQConfig);
    CHECK(QatConv2d(conv.arguments()).arguments() == conv.arguments());
  }

  TEST_CASE("what is missing is said") {
    CHECK_THROWS_AS(QatLinear(3, 2, true, nullptr), ValueError);
    CHECK_THROWS_AS(
        (void)QatLinear(Arguments{{"in_features", std::int64_t{3}}, {"out_features", std::int64_t{2}}})(ones({1, 3})),
        StateError);
    CHECK_THROWS_AS((void)weight_fake_quant_of(Linear(2, 2)), StateError);
    CHECK_THROWS_AS(QatConvBn2d(kConv, nullptr, kQConfig), ValueError);
  }
}

}  // namespace
