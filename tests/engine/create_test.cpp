// Tensors from nothing. That random ones draw PyTorch's stream is for random_test and the golden values.
#include "coppice/engine/create.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"

namespace {

using namespace coppice;

TEST_SUITE("engine/create") {
  TEST_CASE("constants have the shape and type they were asked for") {
    CHECK(zeros({2, 2}) == Tensor::of({{0, 0}, {0, 0}}));
    CHECK(ones({2}, Dtype::boolean).dtype() == Dtype::boolean);
    CHECK(full({2}, 2.5) == Tensor::of({2.5, 2.5}));
    CHECK(full({}, 300, Dtype::u8).item<int>() == 44);  // as convert() does
    CHECK(zeros({0, 3}).numel() == 0);
    const Tensor like = ones_like(zeros({2, 1}, Dtype::f16));
    CHECK(like.dtype() == Dtype::f16);
    CHECK(like.shape() == Shape{2, 1});
    CHECK(eye(2) == Tensor::of({{1, 0}, {0, 1}}));
    CHECK(eye(0).shape() == Shape{0, 0});
    CHECK_THROWS_AS((void)eye(-1), ValueError);
  }

  TEST_CASE("arange goes up or down and stops before its end") {
    CHECK(arange(0, 3) == Tensor::of({0, 1, 2}));
    CHECK(arange(3, 0, -1) == Tensor::of({3, 2, 1}));
    CHECK(arange(0, 1, 0.25) == Tensor::of({0, 0.25, 0.5, 0.75}));
    CHECK(arange(2, 2).numel() == 0);
    CHECK_THROWS_AS((void)arange(0, 3, 0), ValueError);
    CHECK_THROWS_AS((void)arange(0, 3, -1), ValueError);
    CHECK_THROWS_AS((void)arange(0, 1e300, 1e-300), ValueError);
  }

  TEST_CASE("random tensors keep to their range, and to the generator that they are given") {
    Generator a(5), b(5);
    const Tensor u = rand({1000}, Dtype::f32, &a);
    CHECK(min(u).item<float>() >= 0);
    CHECK(max(u).item<float>() < 1);
    CHECK(u == rand({1000}, Dtype::f32, &b));
    CHECK_FALSE(u == rand({1000}, Dtype::f32, &a));
    const Tensor i = randint(-2, 3, {1000}, Dtype::i64, &a);
    CHECK(min(i).item<int>() == -2);
    CHECK(max(i).item<int>() == 2);
    CHECK(sort(randperm(7, &a)).values == arange(0, 7, 1, Dtype::i64));
    CHECK(randperm(0).numel() == 0);
    const Tensor n = randn({10000}, Dtype::f64, &a);
    CHECK(mean(n).item<double>() == doctest::Approx(0).epsilon(0.05).scale(1));
    CHECK(var(n).item<double>() == doctest::Approx(1).epsilon(0.05));
  }

  TEST_CASE("types and ranges that do not fit are refused") {
    CHECK_THROWS_AS((void)rand({2}, Dtype::i64), DtypeError);
    CHECK_THROWS_AS((void)randn({2}, Dtype::boolean), DtypeError);
    CHECK_THROWS_AS((void)randint(3, 3, {2}), ValueError);
    CHECK_THROWS_AS((void)randperm(-1), ValueError);
  }
}

}  // namespace
