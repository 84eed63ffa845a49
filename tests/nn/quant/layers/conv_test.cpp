#include "coppice/nn/quant/layers/conv.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn/registry.h"
#include "coppice/nn/state_dict.h"

namespace {

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;

Tensor weight_of(const Shape& shape) {
  return quantize_per_tensor(Tensor::of({1, -1, 0.5, 2}).reshape(shape), 2 / 127.5, 0, Dtype::qint8);
}
Tensor input(const Shape& shape) {
  return quantize_per_tensor(Tensor::of({1, 2, 3, 4}).reshape(shape), 0.05, 10, Dtype::quint8);
}

TEST_SUITE("nn/quant/layers/conv") {
  TEST_CASE("one and two axes, with and without relu") {
    const QuantizedConv2d conv(weight_of({1, 1, 2, 2}), Tensor::of({-3.5}), {.padding = {1}}, {0.1, 30},
                               QEngine::fbgemm);
    const Tensor y = conv(input({1, 1, 2, 2}));
    CHECK(int_repr(y) == Tensor::of({15, 40, 5, 45, 80, 35, 0, 0, 35}).to(Dtype::u8).reshape({1, 1, 3, 3}));
    CHECK(QuantizedConvReLU2d(weight_of({1, 1, 2, 2}), Tensor::of({-3.5}), {.padding = {1}}, {0.1, 30},
                              QEngine::fbgemm)(input({1, 1, 2, 2})) == relu(y));
    const QuantizedConv1d line(weight_of({1, 1, 4}), Tensor(), {.padding = {2}}, {0.1, 30}, QEngine::fbgemm);
    const Tensor z = line(input({1, 1, 4}));
    CHECK(z.shape() == Shape{1, 1, 5});
    CHECK(max_difference(dequantize(z), conv1d(dequantize(input({1, 1, 4})), dequantize(line.weight()), Tensor(),
                                               {.padding = {2}})) <= 0.051);
    CHECK(
        min(dequantize(QuantizedConvReLU1d(weight_of({1, 1, 4}), Tensor(), {}, {0.1, 30})(input({1, 1, 4})))).item() >=
        0);
  }

  TEST_CASE("state dicts have PyTorch's names, and arguments and copies are whole") {
    const QuantizedConv2d conv(weight_of({2, 2, 1, 1}), Tensor::of({1, 2}), {.stride = {2}}, {0.1, 30},
                               QEngine::onednn);
    const NamedTensors state = state_dict(conv);
    for (const char* name : {"weight", "bias", "scale", "zero_point"}) CHECK(state.find(name) != nullptr);
    const ModulePtr other = make_module(conv.type_name(), conv.arguments());
    load_state_dict(*other, state);
    const Tensor x = input({1, 2, 2, 1});
    CHECK((*other)(x) == conv(x));
    CHECK((*conv.clone())(x) == conv(x));
    CHECK(other->arguments() == conv.arguments());
    CHECK(conv.arguments().text("engine") == "onednn");
  }

  TEST_CASE("padding by reflection, of x itself") {
    Arguments a{{"in_channels", std::int64_t{1}},         {"out_channels", std::int64_t{1}},
                {"kernel_size", std::int64_t{1}},         {"padding", std::int64_t{1}},
                {"padding_mode", std::string("reflect")}, {"bias", false}};
    QuantizedConv2d conv(a);
    conv.tensor("weight").copy_(quantize_per_tensor(ones({1, 1, 1, 1}), 1, 0, Dtype::qint8));
    conv.tensor("scale").fill_(0.05f);
    conv.tensor("zero_point").fill_(10);
    const Tensor y = int_repr(conv(input({1, 1, 2, 2})));
    CHECK(y.reshape({4, 4}).at({0, 0}) == 90);  // the element diagonally across
    CHECK(y.reshape({4, 4}).at({1, 1}) == 30);
    CHECK(conv.arguments().text("padding_mode") == "reflect");
    a.set("padding_mode", std::string("circular"));
    CHECK_THROWS_AS(QuantizedConv2d{a}, NotSupported);
  }

  TEST_CASE("what does not fit is refused") {
    const QuantizedConv2d conv(weight_of({1, 1, 2, 2}), Tensor(), {}, {0.1, 30});
    CHECK_THROWS_AS((void)conv(ones({1, 1, 2, 2})), DtypeError);
    CHECK_THROWS_AS((void)conv(input({1, 4})), ShapeError);
    const QuantizedConv1d line(weight_of({1, 1, 4}), Tensor(), {}, {0.1, 30});
    CHECK_THROWS_AS((void)line(input({1, 1, 4, 1})), ShapeError);
    CHECK_THROWS_AS(QuantizedConv2d(weight_of({1, 1, 2, 2}), Tensor(), {}, {0.1, 300}), ValueError);
  }
}

}  // namespace
