#include "coppice/nn/quant/observer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "coppice/engine.h"
#include "coppice/nn/quant/min_max_observer.h"

namespace {

using namespace coppice;
using namespace coppice::nn::quant;

/// Scale and zero point after seeing these values.
void check(ObserverOptions options, const Tensor& x, float scale, std::int64_t zero_point) {
  const MinMaxObserver observer(options);
  (void)observer(x);
  const auto [s, z] = observer.calculate_qparams();
  CHECK(s == Tensor::of({scale}));
  CHECK(z == Tensor::of({static_cast<double>(zero_point)}).to(Dtype::i64));
}

constexpr auto kSymmetric = QScheme::per_tensor_symmetric;

TEST_SUITE("nn/quant/observer") {
  TEST_CASE("scale and zero point of {-1, 0, 2} by type, scheme and range") {
    const Tensor x = Tensor::of({-1, 0, 2});
    check({}, x, 0.0117647061f, 85);
    check({.reduce_range = true}, x, 0.0236220472f, 42);
    check({.dtype = Dtype::qint8}, x, 0.0117647061f, -43);
    check({.dtype = Dtype::qint8, .reduce_range = true}, x, 0.0236220472f, -22);
    check({.dtype = Dtype::qint8, .qscheme = kSymmetric}, x, 0.0156862754f, 0);
    check({.qscheme = kSymmetric}, x, 0.0156862754f, 128);
    check({.qscheme = kSymmetric, .quant_min = 0, .quant_max = 127}, x, 0.0314960629f, 63);
    check({.dtype = Dtype::qint8, .qscheme = kSymmetric, .quant_min = -127, .quant_max = 127}, x, 0.0157480314f, 0);
  }

  TEST_CASE("ranges always hold 0, and constants get no special treatment") {
    check({}, Tensor::of({3, 5}), 0.0196078438f, 0);
    check({}, Tensor::of({-5, -3}), 0.0196078438f, 255);
    check({}, Tensor::of({0, 0}), 1.1920929e-07f, 0);
    check({}, Tensor::of({2, 2}), 0.0078431377f, 0);
    check({}, Tensor::of({-1e-8, 1e-8}), 1.1920929e-07f, 0);
    check({.dtype = Dtype::qint8, .qscheme = kSymmetric, .quant_min = -127, .quant_max = 127, .eps = 0x1p-12},
          Tensor::of({0, 0.01}), 0.000244140625f, 0);
  }

  TEST_CASE("the zero point rounds half to even") {
    check({}, Tensor::of({-0.5, 254.5}), 1, 0);
    check({}, Tensor::of({-1.5, 253.5}), 1, 2);
    check({}, Tensor::of({-2.5, 252.5}), 1, 2);
  }

  TEST_CASE("never observed is a warning, scale 1 and zero point 0") {
    const CatchWarnings warnings;
    check({}, Tensor::empty({0}), 1, 0);
    REQUIRE(warnings.texts().size() == 1);
    CHECK(warnings.texts()[0] ==
          "[MinMaxObserver] no values were observed before calculate_qparams(); scale 1 and zero point 0");
  }

  TEST_CASE("NaN and infinities give no scale") {
    for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
      const MinMaxObserver observer;
      (void)observer(Tensor::of({1, bad}));
      CHECK_THROWS_AS((void)observer.calculate_qparams(), ValueError);
    }
  }

  TEST_CASE("limits: both or none, around 0, within the width of the type, halved by reduce_range") {
    CHECK(MinMaxObserver({.reduce_range = true, .quant_min = 0, .quant_max = 255}).limits() == QLimits{0, 127});
    CHECK(MinMaxObserver({.dtype = Dtype::qint8, .reduce_range = true, .quant_min = -127, .quant_max = 127}).limits() ==
          QLimits{-64, 63});
    CHECK(MinMaxObserver({.dtype = Dtype::qint8, .reduce_range = true}).limits() == QLimits{-64, 63});
    CHECK_THROWS_AS(MinMaxObserver({.quant_min = 5}), ValueError);
    CHECK_THROWS_AS(MinMaxObserver({.quant_min = 1, .quant_max = 5}), ValueError);
    CHECK_THROWS_AS(MinMaxObserver({.quant_min = 0, .quant_max = 0}), ValueError);
    CHECK_THROWS_AS(MinMaxObserver({.dtype = Dtype::qint8, .quant_min = -200, .quant_max = 127}), ValueError);
    CHECK_THROWS_AS(MinMaxObserver({.dtype = Dtype::f32}), ValueError);
    CHECK_THROWS_AS(MinMaxObserver({.eps = 0}), ValueError);
    CHECK_THROWS_AS(MinMaxObserver({.qscheme = kSymmetric, .reduce_range = true}), NotSupported);
  }

  TEST_CASE("options are read by PyTorch's words") {
    const ObserverOptions o = ObserverOptions::from({{"dtype", std::string("qint8")},
                                                     {"qscheme", std::string("per_tensor_symmetric")},
                                                     {"quant_min", std::int64_t{-8}},
                                                     {"quant_max", std::int64_t{7}}});
    CHECK(o.dtype == Dtype::qint8);
    CHECK(o.qscheme == kSymmetric);
    CHECK(*o.quant_max == 7);
    CHECK_THROWS_AS((void)ObserverOptions::from({{"dtype", std::string("int9")}}), ValueError);
    CHECK_THROWS_AS((void)ObserverOptions::from({{"qscheme", std::string("affine")}}), ValueError);
  }

  TEST_CASE("found parameters become those of a tensor") {
    const CalculatedQParams one{Tensor::of({0.5}), Tensor::of({3}).to(Dtype::i64)};
    CHECK(*one.for_axis(kSymmetric, 0) == *QParams::per_tensor(0.5, 3));
    CHECK(*one.for_axis(QScheme::per_channel_symmetric, 1) == *QParams::per_channel({0.5}, {3}, 1));
    const CalculatedQParams floats{Tensor::of({0.5}), Tensor::of({2.5})};
    CHECK(*floats.for_axis(QScheme::per_channel_affine_float_qparams, 0) ==
          *QParams::per_channel_float({0.5f}, {2.5f}, 0));
  }
}

}  // namespace
