#include "coppice/engine/ops/fake_quantize.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "coppice/engine.h"

namespace {

using namespace coppice;

void check_choice(const ScaleAndZeroPoint& got, float scale, std::int64_t zero_point) {
  CHECK(got.scale == scale);
  CHECK(got.zero_point == zero_point);
}

TEST_SUITE("engine/ops/fake_quantize") {
  TEST_CASE("the gradient passes where the rounded value is within the limits") {
    Tensor x = Tensor::of({-3, -2.5, -2.4, -0.5, 0.5, 1.5, 124.5, 125.4, 125.5, 125.6, 130}).requires_grad_();
    const Tensor y = fake_quantize_per_tensor_affine(x, 1, 2, 0, 127);
    CHECK(y.detach() == Tensor::of({-2, -2, -2, 0, 0, 2, 124, 125, 125, 125, 125}));
    sum(y).backward();
    CHECK(x.grad() == Tensor::of({0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0}));
  }

  TEST_CASE("halves are rounded before an odd zero point is added") {
    const Tensor y = fake_quantize_per_tensor_affine(Tensor::of({-2.5, -1.5, -0.5, 0.5, 1.5, 2.5}), 1, 11, 0, 127);
    CHECK(y + 11.0 == Tensor::of({9, 9, 11, 11, 13, 13}));
  }

  TEST_CASE("limits are those given, narrower than a type's") {
    CHECK(allclose(fake_quantize_per_tensor_affine(Tensor::of({4, 6, 9}), 0.0314960629, 0, 0, 127),
                   Tensor::of({4, 4, 4})));
  }

  TEST_CASE("each channel has its grid, and float zero points are added before rounding") {
    Tensor x = Tensor::of({{0.24, 0.26}, {0.6, 100}}).requires_grad_();
    const Tensor scales = Tensor::of({0.5, 1}), zeros = Tensor::of({0, 3}).to(Dtype::i64);
    const Tensor y = fake_quantize_per_channel_affine(x, scales, zeros, 0, -8, 7);
    CHECK(y.detach() == Tensor::of({{0, 0.5}, {1, 4}}));
    sum(y).backward();
    CHECK(x.grad() == Tensor::of({{1, 1}, {1, 0}}));
    const Tensor halves = Tensor::of({{-2.5, -1.5, -0.5, 0.5, 1.5, 2.5}});
    CHECK(fake_quantize_per_channel_affine(halves, Tensor::of({1}), Tensor::of({1.5}), 0, 0, 127) ==
          Tensor::of({{-1.5, -1.5, -0.5, 0.5, 1.5, 2.5}}));
  }

  TEST_CASE("floating types keep theirs, NaN counts as 0 and infinities as the limits") {
    const Tensor x = Tensor::of({1.26, -3});
    CHECK(fake_quantize_per_tensor_affine(x.to(Dtype::f64), 0.5, 0, -8, 7).dtype() == Dtype::f64);
    CHECK(fake_quantize_per_tensor_affine(x.to(Dtype::f16), 0.5, 0, -8, 7) == Tensor::of({1.5, -3}).to(Dtype::f16));
    constexpr double kInf = std::numeric_limits<double>::infinity();
    Tensor odd = Tensor::of({std::nan(""), kInf, -kInf}).requires_grad_();
    const Tensor y = fake_quantize_per_tensor_affine(odd, 0.5, 1, 0, 7);
    CHECK(y.detach() == Tensor::of({0, 3, -0.5}));
    sum(y).backward();
    CHECK(odd.grad() == Tensor::of({0, 0, 0}));
  }

  TEST_CASE("float64 is rounded with the scale of float32") {
    const Tensor x = Tensor::of(0.48522128).to(Dtype::f64);
    CHECK(fake_quantize_per_tensor_affine(x, 0.06469617, 100, 0, 255).item() == doctest::Approx(0.4528732));
  }

  TEST_CASE("what makes no grid is refused") {
    const Tensor x = Tensor::of({{1, 2}}), one = Tensor::of({1}), zero = Tensor::of({0}).to(Dtype::i64);
    CHECK_THROWS_AS((void)fake_quantize_per_tensor_affine(x, 1, 5, 3, 2), ValueError);
    CHECK_THROWS_AS((void)fake_quantize_per_tensor_affine(x, 1, 5, 0, 4), ValueError);
    CHECK_THROWS_AS((void)fake_quantize_per_tensor_affine(x, 0, 0, 0, 4), ValueError);
    CHECK_THROWS_AS((void)fake_quantize_per_tensor_affine(x.to(Dtype::i64), 1, 0, 0, 4), DtypeError);
    CHECK_THROWS_AS((void)fake_quantize_per_channel_affine(x, one, zero, 2, 0, 4), IndexError);
    CHECK_THROWS_AS((void)fake_quantize_per_channel_affine(x, one, zero, 1, 0, 4), ShapeError);
    CHECK_THROWS_AS((void)fake_quantize_per_channel_affine(x, Tensor::of({-1}), zero, 0, 0, 4), ValueError);
  }

  TEST_CASE("choose_qparams: weights as the fused fake quantiser sees them") {
    check_choice(choose_qparams(-1, 0.5f, -128, 127, true), 0.0078125f, 0);
    check_choice(choose_qparams(0.1f, 0.3f, -128, 127, true), 0.0011764707f, -128);
    check_choice(choose_qparams(-0.3f, -0.1f, -128, 127, true), 0.0011764707f, 127);
    check_choice(choose_qparams(0, 0, -128, 127, true), 0.1f, 127);
    check_choice(choose_qparams(-0.25f, 1, -128, 127, true), 0.0078740157f, 0);
    check_choice(choose_qparams(-1e-4f, 2e-4f, 0, 127), 6.1e-5f, 42);
    check_choice(choose_qparams(-1, 3, 0, 127), 0.031496063f, 32);
  }

  TEST_CASE("choose_qparams refuses ranges that are none") {
    CHECK_THROWS_AS((void)choose_qparams(1, 0, 0, 127), ValueError);
    CHECK_THROWS_AS((void)choose_qparams(std::nanf(""), 0, 0, 127), ValueError);
    CHECK_THROWS_AS((void)choose_qparams(0, std::numeric_limits<float>::infinity(), 0, 127), ValueError);
    CHECK_THROWS_AS((void)choose_qparams(0, 1, 3, 3), ValueError);
  }
}

}  // namespace
