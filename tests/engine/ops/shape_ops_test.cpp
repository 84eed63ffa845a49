// Moving elements: every type, odd sizes, and what must not be accepted.
#include <doctest/doctest.h>

#include "coppice/engine.h"

namespace {

using namespace coppice;

template <class... Args>
concept joins = requires(const Args&... args) {
  cat(args...);
};

TEST_SUITE("engine/ops/shape_ops") {
  TEST_CASE("cat joins a list of tensors; tensors one by one are neither joined nor made a text") {
    const Tensor a = Tensor::of({1, 2}), b = Tensor::of({3});
    CHECK(cat({a, b}) == Tensor::of({1, 2, 3}));
    CHECK(cat({a.reshape({1, 2}), a.reshape({1, 2})}, 1) == Tensor::of({{1, 2, 1, 2}}));
    const TensorList list{a, b};
    CHECK(cat(list) == cat_tensors(list));
    CHECK(cat(list, 0) == cat_tensors(list, 0));
    CHECK_FALSE(joins<Tensor, Tensor>);
    CHECK_FALSE(joins<Tensor, int>);
    CHECK(joins<const char*, Tensor>);  // a message
    CHECK(cat("got ", b) == "got tensor([3.0000])");
  }

  TEST_CASE("transpose moves every element of every type and size") {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::i8, Dtype::i32, Dtype::i64})
      for (const std::int64_t rows : {0, 1, 3, 16, 33})
        for (const std::int64_t cols : {0, 1, 5, 16, 40}) {
          CAPTURE(name_of(dtype));
          CAPTURE(rows);
          CAPTURE(cols);
          Generator generator(7);
          const Tensor t = randint(-100, 100, {rows, cols}, Dtype::i64, &generator).to(dtype);
          const Tensor y = transpose(t);
          REQUIRE(y.shape() == Shape{cols, rows});
          for (std::int64_t i = 0; i < rows; ++i)
            for (std::int64_t j = 0; j < cols; ++j) CHECK(y.at({j, i}) == t.at({i, j}));
        }
  }

  TEST_CASE("a transpose moves the bits of integers and NaN unchanged") {
    const Tensor t = Tensor::from(std::vector<std::int32_t>{0x7fa00001, 1, -1, 0x00000001, 5, 6}, Shape{2, 3});
    CHECK(transpose(t).to_vector<std::int64_t>() == std::vector<std::int64_t>{0x7fa00001, 1, 1, 5, -1, 6});
  }

  TEST_CASE("narrow along the first axis shares bytes, along others copies") {
    const Tensor t = arange(0, 6).reshape({3, 2});
    CHECK(narrow(t, 0, 1, 2).shares_storage(t));
    CHECK(narrow(t, 0, 1, 2) == Tensor::of({{2, 3}, {4, 5}}));
    CHECK(!narrow(t, 1, 1, 1).shares_storage(t));
    CHECK(narrow(t, 1, 1, 1) == Tensor::of({1, 3, 5}).reshape({3, 1}));
    CHECK_THROWS_AS((void)narrow(t, 0, 2, 2), IndexError);
    CHECK_THROWS_AS((void)narrow(t, 0, -1, 1), IndexError);
    CHECK_THROWS_AS((void)narrow(Tensor::of(1), 0, 0, 1), IndexError);
  }

  TEST_CASE("reshape works out one size, and says what does not fit") {
    const Tensor t = arange(0, 6);
    CHECK(t.reshape({2, -1}).shape() == Shape{2, 3});
    CHECK(t.reshape({3, 2}).shares_storage(t));
    CHECK_THROWS_AS((void)t.reshape({4, -1}), ShapeError);
    CHECK_THROWS_AS((void)t.reshape({-1, -1}), ValueError);
    CHECK_THROWS_WITH((void)t.reshape({4, 2}), "[reshape] (6,) has 6 elements, (4, 2) has 8");
  }

  TEST_CASE("joining and splitting are each other's reverse") {
    const Tensor t = arange(0, 12).reshape({3, 4});
    for (const std::int64_t axis : {0, 1, -1}) {
      CHECK(cat_tensors(split(t, 2, axis), axis) == t);
      CHECK(split(t, std::vector<std::int64_t>{1, t.size(axis) - 1}, axis)[0].size(axis) == 1);
    }
    CHECK_THROWS_AS((void)cat_tensors({}), ValueError);
    CHECK_THROWS_AS((void)cat_tensors({t, arange(0, 3)}), ShapeError);
    CHECK_THROWS_AS((void)split(t, 0), ValueError);
    CHECK_THROWS_AS((void)split(t, std::vector<std::int64_t>{1, 1}), ShapeError);
    CHECK(stack({t, t}, -1).shape() == Shape{3, 4, 2});
    CHECK_THROWS_AS((void)index_select(t, 0, Tensor::of({5}).to(Dtype::i64)), IndexError);
    CHECK_THROWS_AS((void)index_select(t, 0, Tensor::of({1})), DtypeError);
    CHECK_THROWS_AS((void)permute(t, {0, 0}), ValueError);
  }
}

}  // namespace
