// What a tensor is: handles, storage, versions, types, printing, comparison.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "coppice/engine.h"

namespace {

using namespace coppice;

TEST_SUITE("engine/tensor") {
  TEST_CASE("a copied handle shares, a clone does not, identity is apart from storage") {
    Tensor a = Tensor::of({1, 2});
    Tensor b = a;
    b.fill_(7);
    CHECK(a == Tensor::of({7, 7}));
    CHECK(a.is(b));
    const Tensor c = a.clone();
    CHECK(!c.shares_storage(a));
    const Tensor d = a.reshape({2, 1});
    CHECK(d.shares_storage(a));
    CHECK(!d.is(a));
  }

  TEST_CASE("scalars and empty tensors are ordinary") {
    CHECK(Tensor::of(3).dim() == 0);
    CHECK(Tensor::of(3).numel() == 1);
    CHECK(Tensor::of(3).item<int>() == 3);
    CHECK(zeros({2, 0}).numel() == 0);
    CHECK(sum(zeros({2, 0})).item() == 0);
    CHECK(zeros({0, 3}) + ones({1, 3}) == zeros({0, 3}));
    CHECK(matmul(zeros({2, 0}), zeros({0, 3})) == zeros({2, 3}));
    CHECK_THROWS_AS((void)zeros({2}).item(), ShapeError);
    CHECK_THROWS_AS((void)Tensor().shape(), StateError);
    CHECK_THROWS_AS((void)zeros({-1}), ValueError);
    CHECK_THROWS_AS((void)Shape({INT64_MAX, 3}), ValueError);
  }

  TEST_CASE("integers in place: exact where a double is not, wrapping around where they leave their type") {
    const auto of = [](std::int64_t v) { return Tensor::from(std::vector<std::int64_t>{v}, {1}); };
    CHECK(of((std::int64_t{1} << 53) + 1).add_(of(2)) == of((std::int64_t{1} << 53) + 3));
    CHECK(of(INT64_MAX).add_(of(1)) == of(INT64_MIN));
    CHECK(of(INT64_MIN).add_(of(1), -1) == of(INT64_MAX));
    CHECK(of(5).add_(of(3), 0.5) == of(6));
    CHECK(of(INT64_MIN).mul_(of(-1)) == of(INT64_MIN));
    CHECK(of(9007199254740993).mul_(1) == of(9007199254740993));  // 2^53 + 1
    CHECK(mul(of(9007199254740993), 3) == of(27021597764222979));
    CHECK(add(of(9007199254740993), -2) == of(9007199254740991));
    CHECK(of(5).mul_(0.5) == of(2));
    CHECK(Tensor::from(std::vector<std::int32_t>{INT32_MAX}, {1}).mul_(of(2)).to_vector<std::int64_t>()[0] == -2);
    CHECK(neg(of(INT64_MIN)) == of(INT64_MIN));
    CHECK(abs(of(INT64_MIN)) == of(INT64_MIN));  // as PyTorch
    CHECK(abs(Tensor::of({-128}).to(Dtype::i8)) == Tensor::of({-128}).to(Dtype::i8));
  }

  TEST_CASE("data<T> asks for the right type") {
    CHECK_THROWS_WITH((void)ones({2}).data<double>(), "[Tensor] elements are float32, not float64");
    CHECK_THROWS_AS((void)ones({2}).at({2}), IndexError);
    CHECK(ones({2}).at({-1}) == 1);
  }

  TEST_CASE("allclose takes PyTorch's tolerances, equal infinities and equal NaN") {
    CHECK(allclose(Tensor::of({1, NAN, INFINITY}), Tensor::of({1.000001, NAN, INFINITY})));
    CHECK(!allclose(Tensor::of({1}), Tensor::of({1.0001})));
    CHECK(!allclose(Tensor::of({INFINITY}), Tensor::of({-INFINITY})));
    CHECK(!allclose(Tensor::of({1}), Tensor::of({1, 1})));
    CHECK(allclose(Tensor::of({1}).to(Dtype::f16), Tensor::of({1.0009}).to(Dtype::f16)));
    CHECK(Tensor::of({-0.0}) == Tensor::of({0.0}));
    CHECK(!(Tensor::of({NAN}) == Tensor::of({NAN})));
  }

  TEST_CASE("printing shows values, type and the ends of long axes") {
    CHECK(to_string(Tensor::of({{1, 2}, {3, 4}})) == "tensor([[1.0000, 2.0000],\n        [3.0000, 4.0000]])");
    CHECK(to_string(arange(0, 3, 1, Dtype::i64)) == "tensor([0, 1, 2], dtype=int64)");
    CHECK(to_string(zeros({0})) == "tensor([], shape=(0,))");
    CHECK(to_string(zeros({2000})).size() < 100);
    std::ostringstream out;
    out << Tensor::of({1, 2}) << ' ' << Shape{2, 3} << ' ' << Dtype::bf16 << ' ' << Tensor();
    CHECK(out.str() == "tensor([1.0000, 2.0000]) (2, 3) bfloat16 tensor(undefined)");
    CHECK(doctest::toString(Shape{4}) == "(4,)");  // what a failed CHECK shows
    CHECK(doctest::toString(Tensor::of(1)) == "tensor(1.0000)");
  }

  TEST_CASE("replace_ changes what a tensor shows and keeps which one it is") {
    Tensor t = ones({2}).requires_grad_();
    const Tensor same = t;
    t.replace_(zeros({3}));
    CHECK(same == zeros({3}));
    CHECK(same.is(t));
    CHECK(t.requires_grad());
    Tensor made = t * 2.0;
    CHECK_THROWS_AS(made.replace_(t), StateError);
  }
}

TEST_SUITE("engine/autograd") {}

}  // namespace
