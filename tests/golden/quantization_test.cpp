// Random quantised tensors, observers and fake quantisers against PyTorch's (make_quantization.py), bit for bit.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn/quant/fake_quantize.h"
#include "coppice/nn/registry.h"
#include "golden/stored_cases.h"

using namespace coppice;
using namespace coppice::nn::quant;
using nlohmann::json;

namespace {

using Golden = testing::StoredCases;

Shape shape_of(const json& sizes) { return Shape(sizes.get<std::vector<std::int64_t>>()); }
Dtype dtype_of_case(const json& c) { return *dtype_from_name(c.at("dtype").get<std::string>()); }

Arguments arguments_of(const json& settings) {
  Arguments a;
  for (const auto& [name, value] : settings.items()) {
    if (value.is_string()) a.set(name, value.get<std::string>());
    if (value.is_boolean()) a.set(name, value.get<bool>());
    if (value.is_number_integer()) a.set(name, value.get<std::int64_t>());
    if (value.is_number_float()) a.set(name, value.get<double>());
  }
  return a;
}

/// Equal bits, NaN with NaN.
bool same(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return false;
  const auto x = a.to_vector<float>(), y = b.to_vector<float>();
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!(x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i])))) return false;
  return true;
}

Tensor quantised(const json& c, const Tensor& x, Golden& g) {
  const Dtype dtype = dtype_of_case(c);
  const std::string kind = c.at("kind").get<std::string>();
  if (kind == "tensor")
    return quantize_per_tensor(x, c.at("scale").get<double>(), c.at("zero_point").get<std::int64_t>(), dtype);
  const auto axis = c.at("axis").get<std::int64_t>();
  const Shape channels{x.size(axis)};
  const Tensor scales = g.values.next(channels);
  const Tensor zeros = kind == "float" ? g.values.next(channels) : g.integers.next(channels);
  return quantize_per_channel(x, scales, zeros, axis, dtype);
}

void check_quantised(Golden& g) {
  for (const json& c : g.cases.at("quantise")) {
    const std::string text = c.dump();
    CAPTURE(text);
    const Tensor x = g.values.next(shape_of(c.at("shape")));
    const Tensor q = quantised(c, x, g);
    CHECK(int_repr(q).to(Dtype::i64) == g.integers.next(x.shape()));
    CHECK(same(dequantize(q), g.values.next(x.shape())));
    CHECK(make_quantized(int_repr(q), q.dtype(), q.qparams()) == q);
  }
}

void check_observers(Golden& g) {
  for (const json& c : g.cases.at("observers")) {
    const std::string text = c.dump(), type = c.at("type").get<std::string>();
    CAPTURE(text);
    const auto observer =
        std::dynamic_pointer_cast<ObserverBase>(nn::make_module(type, arguments_of(c.at("settings"))));
    REQUIRE(observer != nullptr);
    for (const json& sizes : c.at("batches")) {
      const Tensor x = g.values.next(shape_of(sizes));
      CHECK((*observer)(x).is(x));
    }
    const auto [scale, zero] = observer->calculate_qparams();
    const Shape channels{c.at("channels").get<std::int64_t>()};
    CHECK(same(scale, g.values.next(channels)));
    const Shape ends = observer->tensor("min_val").shape();
    CHECK(same(observer->tensor("min_val"), g.values.next(ends)));
    CHECK(same(observer->tensor("max_val"), g.values.next(ends)));
    if (is_floating(zero.dtype()))
      CHECK(same(zero, g.values.next(channels)));
    else
      CHECK(zero == g.integers.next(channels));
    if (type == "HistogramObserver")
      CHECK(same(observer->tensor("histogram"), g.values.next(observer->tensor("histogram").shape())));
  }
}

void check_fakes(Golden& g) {
  for (const json& c : g.cases.at("fake")) {
    const std::string text = c.dump();
    CAPTURE(text);
    const Shape shape = shape_of(c.at("shape"));
    const auto low = c.at("quant_min").get<std::int64_t>(), high = c.at("quant_max").get<std::int64_t>();
    Tensor x = g.values.next(shape).requires_grad_();
    const Tensor dy = g.values.next(shape);
    Tensor y;
    if (c.contains("axis")) {
      const auto axis = c.at("axis").get<std::int64_t>();
      const Tensor scales = g.values.next({shape[axis]});
      y = fake_quantize_per_channel_affine(x, scales, g.integers.next({shape[axis]}), axis, low, high);
    } else {
      y = fake_quantize_per_tensor_affine(x, c.at("scale").get<double>(), c.at("zero_point").get<std::int64_t>(), low,
                                          high);
    }
    y.backward(dy);
    CHECK(same(y, g.values.next(shape)));
    CHECK(same(x.grad(), g.values.next(shape)));
  }
}

void check_fused(Golden& g) {
  for (const json& c : g.cases.at("fused")) {
    const std::string text = c.dump();
    CAPTURE(text);
    const FusedMovingAvgObsFakeQuantize fake(arguments_of(c.at("settings")));
    const Shape channels{c.at("channels").get<std::int64_t>()};
    for (const json& sizes : c.at("batches")) {
      const Tensor x = g.values.next(shape_of(sizes));
      CHECK(same(fake(x), g.values.next(x.shape())));
      CHECK(same(fake.tensor("scale"), g.values.next(channels)));
      CHECK(fake.tensor("zero_point").to(Dtype::i64) == g.integers.next(channels));
    }
    const auto [scale, zero] = fake.calculate_qparams();
    CHECK(same(scale, g.values.next(channels)));
    CHECK(zero == g.integers.next(channels));
  }
}

}  // namespace

TEST_SUITE("golden/quantization") {
  TEST_CASE("600 quantised tensors, 340 observers and 320 fake quantisers equal PyTorch's") {
    Golden g("quantization");
    CHECK(g.cases.at("quantise").size() == 600);
    CHECK(g.cases.at("observers").size() == 340);
    CHECK(g.cases.at("fake").size() == 200);
    CHECK(g.cases.at("fused").size() == 120);
    check_quantised(g);
    check_observers(g);
    check_fakes(g);
    check_fused(g);
    CHECK(g.values.at_end());
    CHECK(g.integers.at_end());
  }
}
