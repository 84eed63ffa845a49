#include "coppice/nn/quant/layers/quantize.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn/state_dict.h"

namespace {

using namespace coppice;
using namespace coppice::nn::quant;

TEST_SUITE("nn/quant/layers/quantize") {
  TEST_CASE("there and back") {
    const Quantize quantize(0.5, 3);
    const Tensor x = Tensor::of({1, -1, 0.2});
    CHECK(quantize(x) == quantize_per_tensor(x, 0.5, 3, Dtype::quint8));
    CHECK(quantize(x.to(Dtype::f64)) == quantize(x));
    CHECK(DeQuantize()(quantize(x)) == dequantize(quantize(x)));
    CHECK(DeQuantize()(x).is(x));
  }

  TEST_CASE("buffers have PyTorch's names and shapes, and arguments bring everything back") {
    const Quantize quantize(0.5, 3, Dtype::qint8);
    const NamedTensors state = coppice::nn::state_dict(quantize);
    CHECK(state.at("scale") == Tensor::of({0.5}));
    CHECK(state.at("zero_point") == Tensor::of({3}).to(Dtype::i64));
    const Tensor x = Tensor::of({1, -1, 0.2});
    CHECK(Quantize(quantize.arguments())(x) == quantize(x));
    CHECK((*quantize.clone())(x) == quantize(x));
    CHECK_THROWS_AS(Quantize(0, 0), ValueError);
    CHECK_THROWS_AS(Quantize(1, 300), ValueError);
    CHECK_THROWS_AS(Quantize({{"dtype", std::string("int9")}}), ValueError);
  }
}

}  // namespace
