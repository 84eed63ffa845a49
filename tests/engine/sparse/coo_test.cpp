#include "coppice/engine/sparse/coo.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/create.h"

using namespace coppice;

namespace {

Tensor index(const std::vector<std::int64_t>& values, const Shape& shape) { return Tensor::from(values, shape); }

}  // namespace

TEST_SUITE("engine/sparse/coo") {
  TEST_CASE("coordinates of what is not zero, in row-major order") {
    const CooTensor coo = to_coo(Tensor::of({{0, 0}, {1, 1}}));
    CHECK(coo.indices == index({1, 1, 0, 1}, {2, 2}));
    CHECK(coo.values == Tensor::of({1, 1}));
    CHECK(coo.shape == Shape{2, 2});
    CHECK(to_string(coo) == "CooTensor((2, 2), float32, 2 elements)");
  }

  TEST_CASE("-0 is zero and NaN is not; types and shapes come back") {
    const CooTensor coo = to_coo(Tensor::of({-0.0, NAN, 0, 2}));
    CHECK(coo.indices == index({1, 3}, {1, 2}));
    CHECK(std::isnan(to_dense(coo).at({1})));
    for (const Dtype dtype : {Dtype::f64, Dtype::f16, Dtype::bf16, Dtype::i8, Dtype::i64, Dtype::boolean}) {
      const Tensor t = Tensor::of({{1, 0, 1}, {0, 0, 1}}).to(dtype);
      CHECK(to_dense(to_coo(t)) == t);
    }
    const Tensor cube = arange(0, 24).reshape({2, 3, 4});
    CHECK(to_dense(to_coo(cube)) == cube);
  }

  TEST_CASE("nothing, everything, one number, no number") {
    const CooTensor nothing = to_coo(zeros({3, 2}, Dtype::i8));
    CHECK(nothing.nnz() == 0);
    CHECK(nothing.indices.shape() == Shape{2, 0});
    CHECK(to_dense(nothing) == zeros({3, 2}, Dtype::i8));
    CHECK(to_coo(ones({3, 2})).nnz() == 6);
    CHECK(to_dense(to_coo(Tensor::of(5))) == Tensor::of(5));
    CHECK(to_coo(Tensor::of(5)).indices.shape() == Shape{0, 1});
    CHECK(to_dense(to_coo(zeros({0, 4}))) == zeros({0, 4}));
  }

  TEST_CASE("an element that is named twice gets the sum") {
    CHECK(to_dense({index({1, 1}, {1, 2}), Tensor::of({2, 3}), {2}}) == Tensor::of({0, 5}));
  }

  TEST_CASE("what does not fit is refused") {
    const Tensor one = Tensor::of({1});
    CHECK_THROWS_AS((void)to_dense({index({0}, {1, 1}), one, {2, 2}}), ShapeError);
    CHECK_THROWS_AS((void)to_dense({index({0, 0}, {2, 1}), Tensor::of({1, 2}), {2, 2}}), ShapeError);
    CHECK_THROWS_AS((void)to_dense({zeros({2, 1}), one, {2, 2}}), DtypeError);
    CHECK_THROWS_AS((void)to_dense({index({0, 2}, {2, 1}), one, {2, 2}}), IndexError);
    CHECK_THROWS_AS((void)to_dense({index({-1, 0}, {2, 1}), one, {2, 2}}), IndexError);
  }
}
