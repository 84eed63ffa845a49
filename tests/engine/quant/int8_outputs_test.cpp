// What becomes of integer sums: each rule against its formula, bit for bit, on every level and unit.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "../../../engine/src/quant/int8_linear.h"
#include "engine/quant/int8_support.h"

using namespace coppice;
using namespace coppice::quant;
using kernels::Int8Out;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Layer {
  std::int64_t m, n, k;
  std::vector<std::uint8_t> x;
  std::vector<std::int8_t> w;
  std::vector<std::int32_t> zw, sums;
  std::vector<double> scales;
  std::vector<float> bias;
  Affine in, out;

  Layer(std::int64_t rows, std::int64_t outputs, std::int64_t inputs, bool per_channel, Generator& g)
      : m(rows), n(outputs), k(inputs) {
    x = test::random_bytes<std::uint8_t>(m * k + 4, 0, 255, g);
    w = test::random_bytes<std::int8_t>(n * k, -128, 127, g);
    zw = test::random_bytes<std::int32_t>(per_channel ? n : 0, -3, 3, g);
    for (const float s : test::random_floats(per_channel ? n : 1, 0.001f, 0.02f, g)) scales.push_back(s);
    bias = test::random_floats(n, -3, 3, g);
    in = {0.043f, x[0]};
    out = {0.37f, x[1]};
    sums = test::exact_sums(m, n, k, x.data(), k, in.zero_point, w, zw);
  }
  float aw(std::size_t j) const { return in.scale * static_cast<float>(scales[scales.size() == 1 ? 0 : j]); }

  template <class T>
  std::vector<T> run(const Int8Out& how) const {
    std::vector<T> y(static_cast<std::size_t>(m * n));
    multiply(Int8Panels(n, k, w, zw), m, x.data(), k, how, y.data());
    return y;
  }

  std::uint8_t expected(Requantize rule, std::size_t i, bool relu) const {
    const std::size_t j = i % static_cast<std::size_t>(n);
    const float b = bias.empty() ? 0.0f : bias[j], zy = static_cast<float>(out.zero_point);
    const std::int32_t low = relu ? out.zero_point : 0;
    if (rule == Requantize::qnnpack) {
      const float reciprocal = 1.0f / aw(j), inverse = 1.0f / out.scale, scaled = b * reciprocal, f = aw(j) * inverse;
      const double whole =
          std::fmin(std::fmax(std::nearbyint(static_cast<double>(scaled)), -2147483648.0), 2147483647.0);
      const double sum = std::fmin(std::fmax(static_cast<double>(sums[i]) + whole, -2147483648.0), 2147483647.0);
      return test::byte_of(
          static_cast<double>(test::rounded(static_cast<float>(static_cast<std::int32_t>(sum)) * f)) + zy, low, 255);
    }
    const float per_step = b / aw(j), factor = aw(j) / out.scale;
    const float raw = static_cast<float>(sums[i]) + per_step, scaled = raw * factor, shifted = scaled + zy;
    if (rule == Requantize::onednn) return test::byte_of(static_cast<double>(test::rounded(shifted)), low, 255);
    return test::byte_of(static_cast<double>(test::rounded(scaled)) + static_cast<double>(zy), low, 255);
  }
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace

TEST_SUITE("engine/quant/int8_outputs") {
  TEST_CASE("each rule of static layers is its formula, with and without ReLU") {
    Generator g(1);
    for (const bool per_channel : {false, true}) {
      const Layer layer(37, 71, 90, per_channel, g);
      test::at_every_unit([&](const std::string& where) {
        CAPTURE(where);
        for (const Requantize rule : {Requantize::fbgemm, Requantize::onednn, Requantize::qnnpack})
          for (const bool relu : {false, true}) {
            const StaticConstants c(rule, layer.in, layer.out, relu, layer.n, layer.scales, layer.bias);
            const auto got = layer.run<std::uint8_t>(output_of(c));
            std::vector<std::uint8_t> expected;
            for (std::size_t i = 0; i < got.size(); ++i) expected.push_back(layer.expected(rule, i, relu));
            CAPTURE(static_cast<int>(rule));
            CAPTURE(relu);
            CHECK(got == expected);
          }
      });
    }
  }

  TEST_CASE("halves: rounding before or after the zero point is what tells the rules apart") {
    // One input of weight 1, scales of 1 and 2: sums of 0..9 become halves.
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      const std::vector<std::uint8_t> x{1, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0};
      const std::vector<std::int8_t> w{1};
      const std::vector<double> one{1.0};
      const auto run = [&](Requantize rule) {
        const StaticConstants c(rule, {1.0f, 0}, {2.0f, 11}, false, 1, one, {});
        std::vector<std::uint8_t> y(4);
        multiply(Int8Panels(1, 1, w, {}), 4, x.data(), 4, output_of(c), y.data());
        return y;
      };
      CHECK(run(Requantize::fbgemm) == std::vector<std::uint8_t>{11, 13, 13, 15});  // 0, 2, 2, 4 and then + 11
      CHECK(run(Requantize::onednn) == std::vector<std::uint8_t>{12, 12, 14, 14});  // of 11.5, 12.5, 13.5, 14.5
      CHECK(run(Requantize::qnnpack) == std::vector<std::uint8_t>{11, 13, 13, 15});
    });
  }

  TEST_CASE("a fully pruned row with a bias: float rules keep it, qnnpack's integer bias saturates") {
    const std::vector<std::int8_t> w{0, 0, 127, 64};
    const std::vector<double> scales{1.1920928955078125e-07, 0.5 / 127.5};
    const std::vector<float> bias{5.0f, -0.7f};
    const std::vector<std::uint8_t> x{100, 200, 0, 0};
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      const auto run = [&](Requantize rule) {
        const StaticConstants c(rule, {0.01f, 0}, {0.05f, 20}, false, 2, scales, bias);
        std::vector<std::uint8_t> y(2);
        multiply(Int8Panels(2, 2, w, {}), 1, x.data(), 2, output_of(c), y.data());
        return y;
      };
      CHECK(run(Requantize::fbgemm) == std::vector<std::uint8_t>{120, 26});
      CHECK(run(Requantize::onednn) == std::vector<std::uint8_t>{120, 26});
      CHECK(run(Requantize::qnnpack) == std::vector<std::uint8_t>{71, 26});
    });
  }

  TEST_CASE("sum and bias of qnnpack stay at the limits of 32 bits") {
    const std::vector<std::uint8_t> x(4, 255);
    const std::vector<double> scales{1.0};
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (const int sign : {1, -1}) {
        const std::vector<std::int8_t> w(4, static_cast<std::int8_t>(100 * sign));
        const std::vector<float> bias{3e9f * static_cast<float>(sign)};
        const StaticConstants c(Requantize::qnnpack, {1.0f, 0}, {2.0e7f, 128}, false, 1, scales, bias);
        std::uint8_t y = 0;
        multiply(Int8Panels(1, 4, w, {}), 1, x.data(), 4, output_of(c), &y);
        CHECK(static_cast<int>(y) == 128 + sign * 107);  // 2^31 / 2e7
      }
    });
  }

  TEST_CASE("infinite and huge biases give the limits, NaN the lower one") {
    const std::vector<std::uint8_t> x(4, 1);
    const std::vector<std::int8_t> w(20, 1);
    const std::vector<double> scales{1.0};
    const std::vector<float> bias{kInf, -kInf, 1e30f, -1e30f, kNaN};
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (const Requantize rule : {Requantize::fbgemm, Requantize::onednn}) {
        const StaticConstants c(rule, {1.0f, 0}, {1.0f, 3}, true, 5, scales, bias);
        std::vector<std::uint8_t> y(5);
        multiply(Int8Panels(5, 4, w, {}), 1, x.data(), 4, output_of(c), y.data());
        CHECK(y == std::vector<std::uint8_t>{255, 3, 255, 3, 3});
      }
    });
  }

  TEST_CASE("float outputs: one rounding or two, as the engine does it") {
    Generator g(2);
    const Layer layer(37, 71, 90, true, g);
    const DynamicConstants c(layer.n, layer.scales, layer.bias);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (const bool relu : {false, true})
        for (const DynamicSum sum : {DynamicSum::fused, DynamicSum::rounded}) {
          std::vector<float> expected;
          for (std::size_t i = 0; i < layer.sums.size(); ++i) {
            const std::size_t j = i % static_cast<std::size_t>(layer.n);
            const float acc = static_cast<float>(layer.sums[i]), scaled = acc * layer.aw(j);
            const float y =
                sum == DynamicSum::fused ? std::fma(acc, layer.aw(j), layer.bias[j]) : scaled + layer.bias[j];
            expected.push_back(relu && y < 0 ? 0.0f : y);
          }
          CHECK(same_bits(layer.run<float>(output_of(c, sum, layer.in, relu)), expected));
        }
    });
  }

  TEST_CASE("one rounding where two would differ: products near a half of the last bit") {
    // fma(acc, scale, bias) with a bias that the product moves by little more, or less, than half of its last bit.
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      std::vector<float> bias, expected;
      const std::vector<std::uint8_t> x{3, 0, 0, 0};
      const std::vector<std::int8_t> w(400, 1);
      const float tiny = std::ldexp(1.0f, -25) / 3.0f;
      for (int i = 0; i < 400; ++i) bias.push_back(std::ldexp(1.0f + static_cast<float>(i) * 1.1920929e-7f, i % 3 - 1));
      const std::vector<double> scales{static_cast<double>(tiny)};
      for (const float b : bias) expected.push_back(std::fma(3.0f, tiny, b));
      const DynamicConstants c(400, scales, bias);
      std::vector<float> y(400);
      multiply(Int8Panels(400, 1, w, {}), 1, x.data(), 4, output_of(c, DynamicSum::fused, {1.0f, 0}, false), y.data());
      CHECK(same_bits(y, expected));
    });
  }

  TEST_CASE("ReLU of float outputs keeps NaN") {
    const std::vector<std::uint8_t> x(4, 1);
    const std::vector<std::int8_t> w(12, 1);
    const std::vector<double> scales{1.0};
    const std::vector<float> bias{kNaN, -kInf, 1.0f};
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      const DynamicConstants c(3, scales, bias);
      std::vector<float> y(3);
      multiply(Int8Panels(3, 4, w, {}), 1, x.data(), 4, output_of(c, DynamicSum::fused, {1.0f, 0}, true), y.data());
      CHECK(std::isnan(y[0]));
      CHECK(y[1] == 0);
      CHECK(y[2] == 5);
    });
  }
}
