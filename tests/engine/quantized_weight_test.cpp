#include "coppice/engine/quantized_weight.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "coppice/engine.h"

namespace {

using namespace coppice;
using Integers = std::vector<std::int64_t>;

Tensor per_channel(const Tensor& w, std::initializer_list<double> scales) {
  return quantize_per_channel(w, Tensor::of(scales).to(Dtype::f64), zeros({w.size(0)}, Dtype::i64), 0, Dtype::qint8);
}
Tensor per_tensor(const Tensor& w, double scale) { return quantize_per_tensor(w, scale, 0, Dtype::qint8); }
Integers integers_of(const Tensor& q) { return int_repr(q).to_vector<std::int64_t>(); }

const Tensor kWeight = Tensor::of({{1, -2}, {0.5, 0.25}}), kBias = Tensor::of({0.3, -0.7});

TEST_SUITE("engine/quantized_weight") {
  TEST_CASE("engines by name, and the one that conversions take") {
    CHECK(qengine_from_name("onednn") == QEngine::onednn);
    CHECK(to_string(QEngine::qnnpack) == "qnnpack");
    CHECK_THROWS_WITH_AS((void)qengine_from_name("cuda"),
                         "[qengine] must be fbgemm, x86, qnnpack or onednn; got 'cuda'", ValueError);
    CHECK(default_qengine() == QEngine::x86);
    CHECK(set_default_qengine(QEngine::qnnpack) == QEngine::x86);
    CHECK(set_default_qengine(QEngine::x86) == QEngine::qnnpack);
  }

  TEST_CASE("a quantised linear layer, with and without relu") {
    const QuantizedLinearWeight w(per_channel(kWeight, {0.0156862754, 0.0039215689}), kBias);
    const Tensor x = quantize_per_tensor(Tensor::of({{1, 2}, {-1, 0.5}, {0, 0}}), 0.1, 20, Dtype::quint8);
    CHECK(integers_of(x) == Integers{30, 40, 10, 25, 20, 20});
    for (const QEngine engine : {QEngine::fbgemm, QEngine::x86, QEngine::onednn, QEngine::qnnpack}) {
      CHECK(integers_of(w.linear(x, {0.05, 80}, engine)) == Integers{26, 86, 46, 59, 86, 66});
      CHECK(integers_of(w.linear(x, {0.05, 80, true}, engine)) == Integers{80, 86, 80, 80, 86, 80});
    }
    const Tensor y = w.linear(x, {0.05, 80}, QEngine::x86);
    CHECK(q_scale(y) == 0.05);
    CHECK(q_zero_point(y) == 80);
    CHECK(w.linear(x.reshape({3, 1, 2}), {0.05, 80}, QEngine::x86).shape() == Shape{3, 1, 2});
  }

  TEST_CASE("the bias of a row that was pruned whole stays a float, but for qnnpack, which saturates") {
    const Tensor w = Tensor::of({{0, 0}, {0.5, 0.25}});
    const QuantizedLinearWeight weight(per_channel(w, {0x1p-23, 0.5 / 127.5}), Tensor::of({5.0, -0.7}));
    const Tensor x = quantize_per_tensor(Tensor::of({{1, 2}}), 0.01, 0, Dtype::quint8);
    for (const QEngine engine : {QEngine::fbgemm, QEngine::x86, QEngine::onednn}) {
      const Tensor y = weight.linear(x, {0.05, 20}, engine);
      CHECK(integers_of(y) == Integers{120, 26});
      CHECK(allclose(dequantize(y), Tensor::of({{5.0, 0.3}})));
    }
    CHECK(integers_of(weight.linear(x, {0.05, 20}, QEngine::qnnpack)) == Integers{71, 26});
  }

  TEST_CASE("dynamic: the input is quantised at each call") {
    const QuantizedLinearWeight w(per_tensor(kWeight, 0.0156862754), kBias);
    CHECK(integers_of(w.weight()) == Integers{64, -127, 32, 16});
    const Tensor x = Tensor::of({{1, 2}, {-1, 0.5}, {0, 0}, {3, -1}});
    const Tensor expected =
        Tensor::of({{-2.70386, 0.31182653}, {-1.715748, -1.079435}, {0.3, -0.7}, {5.3117032, 0.5489734}});
    for (const QEngine engine : {QEngine::fbgemm, QEngine::x86, QEngine::onednn, QEngine::qnnpack})
      CHECK(allclose(w.linear_dynamic(x, engine), expected, Tolerance{1e-6, 1e-6}));
    CHECK(allclose(w.linear_dynamic(x, QEngine::x86, true), relu(expected), Tolerance{1e-6, 1e-6}));
    CHECK(w.linear_dynamic(x.reshape({2, 1, 2, 2}), QEngine::x86).shape() == Shape{2, 1, 2, 2});
    CHECK(w.linear_dynamic(Tensor::of({1, 2}), QEngine::x86).shape() == Shape{2});
    CHECK(w.linear_dynamic(Tensor::empty({0, 2}), QEngine::x86).shape() == Shape{0, 2});
    CHECK_THROWS_AS((void)w.linear_dynamic(full({1, 2}, std::numeric_limits<double>::infinity()), QEngine::x86),
                    ValueError);
    const double nan = std::nan("");
    CHECK(allclose(w.linear_dynamic(Tensor::of({{nan, nan}}), QEngine::x86), kBias.reshape({1, 2})));
  }

  TEST_CASE("zero blocks are left out, and the integers are the same") {
    Generator generator(7);
    Tensor w = Tensor::empty({64, 96});
    generator.normal(w.mutable_data<float>());
    for (const std::int64_t height : {16, 8, 4, 1}) {
      Tensor pruned = w.clone();
      const auto values = pruned.mutable_data<float>();
      for (std::int64_t i = 0; i < 64; ++i)
        for (std::int64_t j = 0; j < 96; ++j)
          if ((i / height * 7 + j / 4 * 3) % 10 != 0) values[static_cast<std::size_t>(i * 96 + j)] = 0;
      const QuantizedLinearWeight sparse(per_tensor(pruned, 0.03), Tensor());
      CAPTURE(height);
      CHECK(sparse.storage() == cat(height, "x4"));
      for (const std::int64_t m : {1, 3, 40}) {
        Tensor x = Tensor::empty({m, 96});
        generator.normal(x.mutable_data<float>());
        const Tensor q = quantize_per_tensor(x, 0.02, 100, Dtype::quint8);
        const Tensor exact =
            matmul(int_repr(q).to(Dtype::f64) - 100.0, transpose(int_repr(sparse.weight()).to(Dtype::f64), 0, 1));
        const Tensor y = sparse.linear(q, {0.1, 128}, QEngine::fbgemm);
        Integers expected;
        for (const double acc : exact.to_vector<double>()) {
          const float aw = 0.02f * 0.03f, factor = aw / 0.1f;
          const double rounded = std::nearbyint(static_cast<float>(acc) * factor) + 128;
          expected.push_back(static_cast<std::int64_t>(std::clamp(rounded, 0.0, 255.0)));
        }
        CHECK(integers_of(y) == expected);
      }
    }
    CHECK(QuantizedLinearWeight(per_tensor(w, 0.03), Tensor()).storage() == "dense");
  }

  TEST_CASE("what cannot be a weight or an input is refused") {
    const Tensor w = per_tensor(kWeight, 0.0156862754);
    CHECK_THROWS_AS(QuantizedLinearWeight(kWeight, kBias), DtypeError);
    CHECK_THROWS_AS(QuantizedLinearWeight(quantize_per_tensor(kWeight, 1, 0, Dtype::quint8), kBias), DtypeError);
    CHECK_THROWS_AS(QuantizedLinearWeight(w, Tensor::of({1})), ShapeError);
    CHECK_THROWS_AS(QuantizedLinearWeight(w, kBias.to(Dtype::f64)), DtypeError);
    CHECK_THROWS_AS(QuantizedLinearWeight(w.reshape({4}), kBias), ShapeError);
    CHECK_THROWS_AS(
        QuantizedLinearWeight(
            quantize_per_channel(kWeight, Tensor::of({1, 1}), zeros({2}, Dtype::i64), 1, Dtype::qint8), kBias),
        ValueError);
    const QuantizedLinearWeight weight(w, kBias);
    const auto run = [&](const Tensor& x) { (void)weight.linear(x, {0.05, 80}, QEngine::x86); };
    CHECK_THROWS_WITH_AS(run(ones({1, 2})),
                         "[quantized_linear] got float32 where quint8 is needed: no QuantStub stands before this layer",
                         DtypeError);
    CHECK_THROWS_AS(run(quantize_per_tensor(ones({1, 2}), 1, 0, Dtype::qint8)), DtypeError);
    CHECK_THROWS_AS(run(quantize_per_tensor(ones({1, 3}), 1, 0, Dtype::quint8)), ShapeError);
    CHECK_THROWS_AS(run(quantize_per_tensor(ones({2}), 1, 0, Dtype::quint8)), ShapeError);
    CHECK_THROWS_AS((void)weight.linear_dynamic(ones({1, 2}, Dtype::f64), QEngine::x86), DtypeError);
  }

  TEST_CASE("a quantised convolution") {
    const Tensor x = quantize_per_tensor(Tensor::of({{1, 2}, {3, 4}}).reshape({1, 1, 2, 2}), 0.05, 10, Dtype::quint8);
    const Tensor w = per_tensor(Tensor::of({{1, -1}, {0.5, 2}}).reshape({1, 1, 2, 2}), 2 / 127.5);
    CHECK(integers_of(w) == Integers{64, -64, 32, 127});
    const QuantizedConv2dWeight conv(w, Tensor::of({-3.5}), {.padding = {1}});
    CHECK(integers_of(conv.conv2d(x, {0.1, 30}, QEngine::fbgemm)) == Integers{15, 40, 5, 45, 80, 35, 0, 0, 35});
    CHECK(integers_of(conv.conv2d(x, {0.1, 30, true}, QEngine::x86)) == Integers{30, 40, 30, 45, 80, 35, 30, 30, 35});
    CHECK_THROWS_AS((void)conv.conv2d(ones({1, 1, 2, 2}), {0.1, 30}, QEngine::x86), DtypeError);
    CHECK_THROWS_AS((void)conv.conv2d(x.reshape({1, 4}), {0.1, 30}, QEngine::x86), ShapeError);
    CHECK_THROWS_AS(QuantizedConv2dWeight(w, Tensor(), {.groups = 2}), ValueError);
    CHECK_THROWS_AS(QuantizedConv2dWeight(w, Tensor(), {.stride = {0}}), ValueError);
    CHECK_THROWS_AS(QuantizedConv2dWeight(w, Tensor(), {.dilation = {1, 1, 1}}), ValueError);
    CHECK_THROWS_AS(QuantizedConv2dWeight(w.reshape({1, 4}), Tensor(), {}), ShapeError);
  }
}

}  // namespace
