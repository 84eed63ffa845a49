// Products: shapes of every rank, empty ones, refusals. Values at length: gemm_test and the golden values.
#include "coppice/engine/ops/linalg.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"

namespace {

using namespace coppice;

TEST_SUITE("engine/linalg") {
  TEST_CASE("matmul of matrices, vectors and batches") {
    const Tensor a = Tensor::of({{1, 2}, {3, 4}}), v = Tensor::of({1, 10});
    CHECK(matmul(a, a) == Tensor::of({{7, 10}, {15, 22}}));
    CHECK(matmul(a, v) == Tensor::of({21, 43}));
    CHECK(matmul(v, a) == Tensor::of({31, 42}));
    CHECK(matmul(v, v) == Tensor::of(101));
    CHECK(matmul(v, v).shape() == Shape{});
    CHECK(matmul(ones({3, 1, 2, 2}), ones({4, 2, 5})).shape() == Shape{3, 4, 2, 5});
    CHECK(matmul(v, ones({3, 2, 4})).shape() == Shape{3, 4});
    CHECK(matmul(ones({3, 4, 2}), v).shape() == Shape{3, 4});
  }

  TEST_CASE("an empty inner axis gives zeros, an empty outer one nothing") {
    CHECK(matmul(zeros({2, 0}), zeros({0, 3})) == zeros({2, 3}));
    CHECK(matmul(zeros({0, 2}), zeros({2, 3})).shape() == Shape{0, 3});
    CHECK(matmul(zeros({0, 2, 2}), zeros({2, 3})).shape() == Shape{0, 2, 3});
    CHECK(linear(zeros({2, 0}), zeros({3, 0}), Tensor::of({1, 2, 3})) == Tensor::of({{1, 2, 3}, {1, 2, 3}}));
  }

  TEST_CASE("linear takes inputs of any rank but 0, with and without bias") {
    const Tensor w = Tensor::of({{1, 0}, {0, 2}, {1, 1}});
    CHECK(linear(Tensor::of({1, 2}), w) == Tensor::of({1, 4, 3}));
    CHECK(linear(ones({2, 3, 2}), w, Tensor::of({0, 0, 1})).shape() == Shape{2, 3, 3});
    CHECK(linear(ones({2, 2}).to(Dtype::f16), w.to(Dtype::f16)).dtype() == Dtype::f16);
  }

  TEST_CASE("what does not fit is refused with both shapes or types") {
    CHECK_THROWS_WITH_AS((void)matmul(ones({2, 3}), ones({2, 3})),
                         "[matmul] needs a: [.., m, k] and b: [.., k, n]; got a: (2, 3) and b: (2, 3)", ShapeError);
    CHECK_THROWS_AS((void)matmul(Tensor::of(1), ones({1})), ShapeError);
    CHECK_THROWS_AS((void)matmul(ones({2, 2, 3}), ones({3, 3, 2})), ShapeError);
    CHECK_THROWS_AS((void)matmul(ones({2, 2}), ones({2, 2}, Dtype::f64)), DtypeError);
    CHECK_THROWS_AS((void)matmul(ones({2, 2}, Dtype::i64), ones({2, 2}, Dtype::i64)), DtypeError);
    CHECK_THROWS_WITH_AS((void)linear(ones({2, 3}), ones({4, 2})),
                         "[linear] needs x: [.., in] and weight: [out, in]; got x: (2, 3) and weight: (4, 2)",
                         ShapeError);
    CHECK_THROWS_WITH_AS((void)linear(ones({2, 3}), ones({4, 3}), ones({3})), "[linear] bias must be (4,); got (3,)",
                         ShapeError);
    CHECK_THROWS_AS((void)linear(Tensor::of(1), ones({1, 1})), ShapeError);
    CHECK_THROWS_AS((void)linear(ones({2, 3}), ones({4, 3}), ones({4}, Dtype::f64)), DtypeError);
  }
}

}  // namespace
