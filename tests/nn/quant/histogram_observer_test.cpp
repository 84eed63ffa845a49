#include "coppice/nn/quant/histogram_observer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "../../../nn/src/quant/histogram.h"
#include "coppice/engine.h"
#include "coppice/nn/state_dict.h"

namespace {

using namespace coppice;
using namespace coppice::nn::quant;

Tensor sequence(std::int64_t n, const std::function<double(std::int64_t)>& f) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < n; ++i) values.push_back(static_cast<float>(f(i)));
  return Tensor::from(values, Shape{n});
}
const Tensor kRamp = sequence(1024, [](auto k) { return static_cast<double>(k) / 256; });
const Tensor kMiddle = sequence(2001, [](auto k) { return static_cast<double>(k - 1000) / 500; });

Histogram histogram_of(const HistogramObserver& observer) {
  return {observer.tensor("histogram").to_vector<float>(), observer.tensor("min_val").item<float>(),
          observer.tensor("max_val").item<float>()};
}

void check(const HistogramObserver& observer, const TensorList& batches, BinRange bins, float scale,
           std::int64_t zero_point) {
  for (const Tensor& x : batches) (void)observer(x);
  const auto [s, z] = observer.calculate_qparams();
  CHECK(s.item<float>() == doctest::Approx(scale).epsilon(1e-7));
  CHECK(z.item<std::int64_t>() == zero_point);
  if (bins.last >= 0) CHECK(search_range(histogram_of(observer), 256) == bins);
}

constexpr ObserverOptions kReduced{.reduce_range = true};
constexpr BinRange kAny{0, -1};

TEST_SUITE("nn/quant/histogram_observer") {
  TEST_CASE("one batch: kept bins, scale and zero point") {
    check(HistogramObserver(kReduced), {kRamp}, {0, 2046}, 0.0314499401f, 0);
    check(HistogramObserver(), {kRamp}, {0, 2046}, 0.0156633034f, 0);
    check(HistogramObserver(), {kMiddle}, {0, 2046}, 0.0156786144f, 128);
    check(HistogramObserver({.dtype = Dtype::qint8, .qscheme = QScheme::per_tensor_symmetric}), {kMiddle}, {0, 2046},
          0.0156862754f, 0);
    const Tensor cubes = kMiddle * kMiddle * kMiddle;
    check(HistogramObserver(), {cubes}, {0, 2040}, 0.0625306368f, 128);
    check(HistogramObserver(kReduced), {cubes}, {0, 2040}, 0.125553638f, 64);
    check(HistogramObserver(kReduced), {Tensor::of({-1, 0, 0.5, 2})}, {0, 2046}, 0.0236105137f, 42);
    check(HistogramObserver(kReduced), {full({10}, 2)}, kAny, 0.0157480314f, 0);
    check(HistogramObserver(kReduced), {zeros({10})}, kAny, 1.1920929e-07f, 0);
    const Tensor sixteen = sequence(20, [](auto k) { return k < 16 ? static_cast<double>(k) : k < 18 ? 15.0 : 3.0; });
    check(HistogramObserver({}, 16), {sixteen}, {0, 14}, 0.0551470593f, 0);
    const Tensor hundred = sequence(101, [](auto k) { return k < 50 ? 0.0 : k < 100 ? 1.0 : 100.0; });
    check(HistogramObserver({}, 8), {hundred}, {0, 6}, 0.343137264f, 0);
  }

  TEST_CASE("thresholds of the search are compared in single precision") {
    const Tensor x = sequence(100001, [](auto k) { return k < 100000 ? static_cast<double>(k % 1024) / 256 : 64.0; });
    check(HistogramObserver(), {x}, {0, 2046}, 0.25085783f, 0);
  }

  TEST_CASE("the search on given counts, and its costs") {
    const Histogram few{{1, 2, 50, 200, 50, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1}, -4, 12};
    CHECK(rounding_error(few, {0, 15}, 256) == doctest::Approx(0.0999349).epsilon(1e-4));
    CHECK(rounding_error(few, {0, 14}, 256) == doctest::Approx(0.450995).epsilon(1e-4));
    CHECK(rounding_error(few, {1, 15}, 256) == doctest::Approx(0.451158).epsilon(1e-4));
    CHECK(search_range(few, 256) == BinRange{0, 14});
    const Histogram many{{1, 2000, 50000, 200000, 50000, 2000, 1000, 0, 0, 0, 0, 0, 0, 0, 0, 1}, -4, 12};
    CHECK(rounding_error(many, {0, 14}, 256) == doctest::Approx(87.58).epsilon(1e-3));
    CHECK(rounding_error(many, {1, 6}, 256) == doctest::Approx(86.82).epsilon(1e-3));
    CHECK(rounding_error(many, {0, 5}, 256) == doctest::Approx(449.6).epsilon(1e-3));
    CHECK(rounding_error(many, {1, 5}, 256) == doctest::Approx(443.7).epsilon(1e-3));
    CHECK(search_range(many, 256) == BinRange{1, 5});
  }

  TEST_CASE("counting as torch.histc") {
    const std::vector<float> x{0, 1, 2, 2, 3, 4, 10, -1}, two{2, 2};
    CHECK(histc(x, 4, 0, 4) == std::vector<float>{1, 1, 2, 2});
    CHECK(histc(two, 4, 2, 2) == std::vector<float>{0, 0, 2, 0});
  }

  TEST_CASE("later batches move the counts that are there") {
    check(HistogramObserver(), {kRamp, kRamp}, {0, 2046}, 0.0156633034f, 0);
    const Tensor wide = sequence(1024, [](auto k) { return static_cast<double>(k - 256) / 128; });
    const HistogramObserver two(kReduced), three(kReduced);
    check(two, {kRamp, wide}, kAny, 0.0628998801f, 32);
    check(three, {kRamp, kRamp * 2.0, kRamp - 1.0}, kAny, 0.0707700551f, 14);

    const Tensor five = Tensor::of({0, 1, 2, 3, 4});
    const HistogramObserver outside({}, 4), below({}, 4);
    (void)outside(five);
    CHECK(outside.tensor("histogram") == Tensor::of({1, 1, 1, 2}));
    (void)outside(Tensor::of({-4, 8}));
    CHECK(outside.tensor("histogram") == Tensor::of({1, 2, 3, 1}));
    (void)below(five);
    (void)below(Tensor::of({-1, 4}));
    CHECK(below.tensor("histogram") == Tensor::of({1.25, 1.25, 1.25, 3.25}));
  }

  TEST_CASE("infinities are left out with a warning, NaN is refused and changes nothing") {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    const CatchWarnings warnings;
    const HistogramObserver observer;
    (void)observer(Tensor::of({kInf, -kInf}));
    CHECK(observer.tensor("min_val").item() == kInf);
    (void)observer(Tensor::of({1, kInf, 3}));
    CHECK(observer.tensor("max_val").item() == 3);
    CHECK(warnings.texts().size() == 2);
    CHECK_THROWS_AS((void)observer(Tensor::of({std::nan("")})), ValueError);
    CHECK(sum(observer.tensor("histogram")).item() == 2);
  }

  TEST_CASE("settings, clones and state") {
    CHECK_THROWS_AS(HistogramObserver({.qscheme = QScheme::per_channel_affine}), NotSupported);
    CHECK_THROWS_AS(HistogramObserver({}, 0), ValueError);
    HistogramObserver observer(kReduced, 64);
    (void)observer(kMiddle);
    HistogramObserver again(observer.arguments());
    CHECK(again.bins() == 64);
    nn::load_state_dict(again, nn::state_dict(observer));
    CHECK(again.calculate_qparams().scale == observer.calculate_qparams().scale);
    observer.reset_min_max_vals();
    CHECK(sum(observer.tensor("histogram")).item() == 0);
    const CatchWarnings warnings;
    CHECK(observer.calculate_qparams().scale.item() == 1);
  }
}

}  // namespace
