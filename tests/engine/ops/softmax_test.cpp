#include "coppice/engine/ops/softmax.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"

using namespace coppice;

TEST_SUITE("engine/softmax") {
  TEST_CASE_TEMPLATE("cross_entropy takes class indices of every integer type, with the same loss and gradient", T,
                     std::int8_t, std::uint8_t, std::int16_t, std::int32_t, std::int64_t) {
    const Tensor target = Tensor::of({2, 0, 1}).to(dtype_of<T>);
    Tensor logits = Tensor::of({{1, 2, 3}, {0, 0, 0}, {-1, 4, 0}});
    logits.requires_grad_();
    const Tensor loss = cross_entropy(logits, target, Reduction::none);
    CHECK(loss.at({0}) == doctest::Approx(0.40760597));
    CHECK(loss.at({1}) == doctest::Approx(1.09861231));
    CHECK(loss.at({2}) == doctest::Approx(0.02474522));
    sum(loss).backward();
    CHECK(max_difference(logits.grad(), softmax(logits.detach()) - Tensor::of({{0, 0, 1}, {1, 0, 0}, {0, 1, 0}})) <
          1e-6);
    CHECK_THROWS_WITH_AS((void)cross_entropy(logits, Tensor::of({2, 3, 1}).to(dtype_of<T>)),
                         "[cross_entropy] class 3 of sample 1 is outside 0..2", IndexError);
    if constexpr (std::is_signed_v<T>)
      CHECK_THROWS_AS((void)cross_entropy(logits, Tensor::of({2, -1, 1}).to(dtype_of<T>)), IndexError);
  }

  TEST_CASE("classes that are truth values or floats are refused") {
    for (const Dtype type : {Dtype::boolean, Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16})
      CHECK_THROWS_AS((void)cross_entropy(ones({2, 3}), ones({2}, type)), DtypeError);
  }

  TEST_CASE("classes overwritten before backward are a StateError, or were copied: never another gradient") {
    for (const Dtype type : {Dtype::i64, Dtype::i32}) {
      Tensor logits = Tensor::of({{1, 2, 3}}), target = Tensor::of({2}).to(type);
      logits.requires_grad_();
      const Tensor loss = cross_entropy(logits, target);
      target.fill_(0);
      if (type == Dtype::i64) {
        CHECK_THROWS_AS(loss.backward(), StateError);
      } else {
        loss.backward();
        CHECK(logits.grad().at({0, 2}) < 0);
      }
    }
  }
}
