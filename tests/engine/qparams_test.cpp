#include "coppice/engine/qparams.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "coppice/engine/error.h"

namespace {

using namespace coppice;

TEST_SUITE("engine/qparams") {
  TEST_CASE("schemes have PyTorch's words") {
    CHECK(name_of(QScheme::per_tensor_affine) == "per_tensor_affine");
    CHECK(to_string(QScheme::per_channel_affine_float_qparams) == "per_channel_affine_float_qparams");
    CHECK(is_per_channel(QScheme::per_channel_symmetric));
    CHECK_FALSE(is_per_channel(QScheme::per_tensor_symmetric));
    CHECK(is_symmetric(QScheme::per_tensor_symmetric));
    CHECK_FALSE(is_symmetric(QScheme::per_channel_affine));
  }

  TEST_CASE("limits are those of the stored integers") {
    CHECK(limits_of(Dtype::qint8) == QLimits{-128, 127});
    CHECK(limits_of(Dtype::quint8) == QLimits{0, 255});
    CHECK(limits_of(Dtype::quint4x2) == QLimits{0, 15});
    CHECK(limits_of(Dtype::qint32) == QLimits{-2147483648LL, 2147483647LL});
    CHECK_THROWS_AS((void)limits_of(Dtype::f32), DtypeError);
  }

  TEST_CASE("scales are finite and above 0, lists equally long, axes not negative") {
    for (const double bad : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
      CHECK_THROWS_AS((void)QParams::per_tensor(bad, 0), ValueError);
      CHECK_THROWS_AS((void)QParams::per_channel({1, bad}, {0, 0}, 0), ValueError);
      CHECK_THROWS_AS((void)QParams::per_channel_float({static_cast<float>(bad)}, {0}, 0), ValueError);
    }
    CHECK_THROWS_AS((void)QParams::per_channel({1, 2}, {0}, 0), ValueError);
    CHECK_THROWS_AS((void)QParams::per_channel({1}, {0}, -1), ValueError);
    CHECK_THROWS_AS((void)QParams::per_channel_float({1}, {std::nanf("")}, 0), ValueError);
    CHECK_THROWS_WITH((void)QParams::per_tensor(0, 0), "[QParams] a scale must be finite and above 0; got 0");
  }

  TEST_CASE("parameters are checked against the tensor that gets them") {
    const auto check = [](const QParamsPtr& p, const Shape& shape, Dtype dtype) { p->check("op", shape, dtype); };
    const QParamsPtr one = QParams::per_tensor(0.5, 200), two = QParams::per_channel({1, 2}, {0, 0}, 1);
    CHECK_NOTHROW(check(one, Shape{3}, Dtype::quint8));
    CHECK_THROWS_WITH_AS(check(one, Shape{3}, Dtype::qint8), "[op] zero point 200 is outside -128..127 of qint8",
                         ValueError);
    CHECK_THROWS_AS(check(one, Shape{3}, Dtype::f32), DtypeError);
    CHECK_THROWS_AS(check(one, Shape{4}, Dtype::quint4x2), DtypeError);
    CHECK_NOTHROW(check(two, Shape{3, 2}, Dtype::qint8));
    CHECK_THROWS_WITH_AS(check(two, Shape{3, 3}, Dtype::qint8), "[op] 2 scales for axis 1 of (3, 3)", ShapeError);
    CHECK_THROWS_AS(check(two, Shape{3}, Dtype::qint8), IndexError);
    const QParamsPtr floats = QParams::per_channel_float({1, 2}, {0.5, 1}, 0);
    CHECK_NOTHROW(check(floats, Shape{2, 4}, Dtype::quint4x2));
    CHECK_THROWS_AS(check(floats, Shape{2, 3}, Dtype::quint4x2), ShapeError);
    CHECK_THROWS_AS(check(floats, Shape{2, 4}, Dtype::qint8), DtypeError);
  }

  TEST_CASE("equal parameters are equal") {
    CHECK(*QParams::per_tensor(0.5, 1) == *QParams::per_tensor(0.5, 1));
    CHECK_FALSE(*QParams::per_tensor(0.5, 1) == *QParams::per_tensor(0.5, 2));
    CHECK_FALSE(*QParams::per_channel({0.5}, {1}, 0) == *QParams::per_tensor(0.5, 1));
  }
}

}  // namespace
