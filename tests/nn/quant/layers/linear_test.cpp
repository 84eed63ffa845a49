#include "coppice/nn/quant/layers/linear.h"

#include <doctest/doctest.h>

#include <thread>

#include "coppice/engine.h"
#include "coppice/nn/registry.h"
#include "coppice/nn/state_dict.h"

namespace {

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;

Tensor weight_of(double scale = 0.0156862754) {
  return quantize_per_tensor(Tensor::of({{1, -2}, {0.5, 0.25}}), scale, 0, Dtype::qint8);
}
const Tensor kBias = Tensor::of({0.3, -0.7});
Tensor input() { return quantize_per_tensor(Tensor::of({{1, 2}, {-1, 0.5}}), 0.1, 20, Dtype::quint8); }

TEST_SUITE("nn/quant/layers/linear") {
  TEST_CASE("runs its weight, with or without relu, and keeps the bias in float") {
    const QuantizedLinear layer(weight_of(), kBias, {0.05, 80}, QEngine::fbgemm);
    CHECK(layer(input()) == QuantizedLinearWeight(weight_of(), kBias).linear(input(), {0.05f, 80}, QEngine::fbgemm));
    CHECK(layer.weight_bias().first == weight_of());
    CHECK(layer.bias() == kBias);
    const QuantizedLinearReLU with_relu(weight_of(), kBias, {0.05, 80}, QEngine::fbgemm);
    CHECK(with_relu(input()) == relu(layer(input())));
    const DynamicLinear dynamic(weight_of(), Tensor());
    CHECK(dynamic(Tensor::of({{1, 2}})).dtype() == Dtype::f32);
    CHECK(DynamicLinearReLU(weight_of(), Tensor())(Tensor::of({{1, 2}})) == relu(dynamic(Tensor::of({{1, 2}}))));
  }

  TEST_CASE("state dicts have PyTorch's names, and loading changes what is run") {
    const QuantizedLinear layer(weight_of(), kBias, {0.05, 80});
    const NamedTensors state = state_dict(layer);
    for (const char* name :
         {"scale", "zero_point", "_packed_params._packed_params.0", "_packed_params._packed_params.1"})
      CHECK(state.find(name) != nullptr);
    const ModulePtr other = make_module(layer.type_name(), layer.arguments());
    load_state_dict(*other, state);
    CHECK((*other)(input()) == layer(input()));
    const ModulePtr channels = make_module(layer.type_name(), layer.arguments());
    const Tensor per_channel =
        quantize_per_channel(Tensor::of({{1, -2}, {0.5, 0.25}}), Tensor::of({0.0156862754, 0.0039215689}),
                             zeros({2}, Dtype::i64), 0, Dtype::qint8);
    load_state_dict(*channels, state_dict(QuantizedLinear(per_channel, kBias, {0.05, 80})));
    CHECK(dynamic_cast<const QuantizedLinear&>(*channels).weight() == per_channel);
  }

  TEST_CASE("other weights and copies") {
    QuantizedLinear layer(weight_of(), kBias, {0.05, 80});
    const Tensor before = layer(input());
    const ModulePtr copy = layer.clone();
    layer.set_weight_bias(weight_of(0.03), Tensor());
    CHECK_FALSE(layer.bias().defined());
    CHECK_FALSE(layer(input()) == before);
    CHECK((*copy)(input()) == before);
    CHECK_THROWS_AS(layer.set_weight_bias(Tensor::of({{1, 2}}), Tensor()), DtypeError);
    CHECK_THROWS_AS(QuantizedLinear(weight_of(), Tensor::of({1}), {0.05, 80}), ShapeError);
    CHECK_THROWS_AS(QuantizedLinear(weight_of(), kBias, {0, 80}), ValueError);
    CHECK_THROWS_AS(QuantizedLinear(weight_of(), kBias, {0.05, 300}), ValueError);
  }

  TEST_CASE("another part of the same storage is another weight, and another bias") {
    const Tensor biases = Tensor::of({{0.3, -0.7}, {5, 5}});
    QuantizedLinear layer(weight_of(), narrow(biases, 0, 0, 1).reshape({2}), {0.05, 80});
    const Tensor before = layer(input());
    layer.set_weight_bias(weight_of(), narrow(biases, 0, 1, 1).reshape({2}));
    CHECK(layer(input()) == QuantizedLinear(weight_of(), Tensor::of({5, 5}), {0.05, 80})(input()));
    CHECK_FALSE(layer(input()) == before);
  }

  TEST_CASE("a state dict of other types is refused, with nothing changed") {
    const auto plain = make_module(
        "Conv2d",
        {{"in_channels", std::int64_t{1}}, {"out_channels", std::int64_t{1}}, {"kernel_size", std::int64_t{1}}});
    const Tensor before = plain->tensor("bias").detach().clone();
    const NamedTensors state{{"bias", Tensor::of({7})},
                             {"weight", quantize_per_tensor(ones({1, 1, 1, 1}), 1, 0, Dtype::qint8)}};
    CHECK_THROWS_AS(load_state_dict(*plain, state), DtypeError);
    CHECK(plain->tensor("bias").detach() == before);
  }

  TEST_CASE("arguments name the engine, and bad ones are refused") {
    const QuantizedLinear layer(weight_of(), kBias, {0.05, 80}, QEngine::qnnpack);
    CHECK(layer.arguments().text("engine") == "qnnpack");
    CHECK(QuantizedLinear(layer.arguments()).engine() == QEngine::qnnpack);
    CHECK_THROWS_AS(QuantizedLinear({{"in_features", std::int64_t{-1}}, {"out_features", std::int64_t{2}}}),
                    ValueError);
    CHECK_THROWS_AS(
        QuantizedLinear(
            {{"in_features", std::int64_t{1}}, {"out_features", std::int64_t{2}}, {"engine", std::string("cuda")}}),
        ValueError);
    const DynamicLinear half(Tensor::of({{1, 2}}).to(Dtype::f16), Tensor());
    CHECK(half.arguments().text("dtype") == "float16");
    CHECK(DynamicLinear(half.arguments()).weight().dtype() == Dtype::f16);
    CHECK_THROWS_AS(
        DynamicLinear(
            {{"in_features", std::int64_t{1}}, {"out_features", std::int64_t{2}}, {"dtype", std::string("float64")}}),
        ValueError);
    CHECK_THROWS_AS((void)LinearPackedParams()(TensorList{}), NotSupported);
  }

  TEST_CASE("from many threads at once") {
    const QuantizedLinear layer(weight_of(), kBias, {0.05, 80});
    const Tensor expected = QuantizedLinear(weight_of(), kBias, {0.05, 80})(input());
    std::vector<int> same(4);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < same.size(); ++i)
      threads.emplace_back([&, i] { same[i] = layer(input()) == expected; });
    for (std::thread& t : threads) t.join();
    for (const int s : same) CHECK(s == 1);
  }
}

}  // namespace
