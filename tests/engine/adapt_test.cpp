#include "coppice/engine/adapt.h"

#include <doctest/doctest.h>

#include <xtensor/xmath.hpp>

#include "coppice/engine/create.h"
#include "coppice/engine/ops/linalg.h"

using namespace coppice;

TEST_SUITE("engine/adapt") {
  TEST_CASE("a matrix seen by Eigen has the same elements, without a copy") {
    const Tensor a = Tensor::of({{1, 2, 3}, {4, 5, 6}});
    const auto m = as_eigen<float>(a);
    CHECK(m.data() == a.data<float>().data());
    CHECK(m(1, 0) == 4);
    const Tensor b = Tensor::of({{1, 0}, {0, 1}, {1, 1}});
    Tensor product = zeros({2, 2});
    as_mutable_eigen<float>(product) = m * as_eigen<float>(b);
    CHECK(product == matmul(a, b));
  }

  TEST_CASE("a tensor of any rank seen by xtensor has its shape and elements") {
    const Tensor a = arange(0, 24).reshape({2, 3, 4});
    const auto x = as_xtensor<float>(a);
    CHECK(x.dimension() == 3);
    CHECK(x(1, 2, 3) == 23);
    CHECK(xt::sum(x)() == 276);
    const Tensor scalar = Tensor::of(7);
    CHECK(as_xtensor<float>(scalar)() == 7);
  }

  TEST_CASE("writing through a view is an in-place change of the tensor") {
    Tensor a = zeros({2, 2});
    const auto before = a.version();
    as_mutable_xtensor<float>(a)(1, 0) = 5;
    CHECK(a == Tensor::of({{0, 0}, {5, 0}}));
    CHECK(a.version() > before);
  }

  TEST_CASE("the wrong rank and the wrong type are refused") {
    Tensor a = zeros({2, 2, 2});
    CHECK_THROWS_AS((void)as_eigen<float>(a), ShapeError);
    CHECK_THROWS_AS((void)as_mutable_eigen<float>(a), ShapeError);
    CHECK_THROWS_AS((void)as_xtensor<double>(a), DtypeError);
  }
}
