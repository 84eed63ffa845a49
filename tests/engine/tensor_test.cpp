// What a tensor is: handles, storage, versions, types, printing, comparison; and the rules of the graph.
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

  TEST_CASE("f16 and bf16 round to nearest even, keep NaN and overflow to infinity") {
    const double cases[][3] = {{1.0 + 1.0 / 2048, 1.0, 1.0},
                               {1.0 + 3.0 / 2048, 1.0 + 1.0 / 512, 1.0},
                               {65504, 65504, 65536},
                               {65520, INFINITY, 65536},
                               {std::ldexp(1, -24), std::ldexp(1, -24), std::ldexp(1, -24)},
                               {std::ldexp(1, -26), 0, std::ldexp(1, -26)},
                               {-0.0, -0.0, -0.0}};
    for (const auto& [x, half, brain] : cases) {
      const auto& shown = x;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      CHECK(Tensor::of(x).to(Dtype::f16).item() == half);
      CHECK(Tensor::of(x).to(Dtype::bf16).item() == brain);
    }
    for (const Dtype dtype : {Dtype::f16, Dtype::bf16}) CHECK(std::isnan(Tensor::of(NAN).to(dtype).item()));
    for (int bits = 0; bits < 65536; ++bits) {  // every half there is survives the way to float and back
      Half h;
      h.bits = static_cast<std::uint16_t>(bits);
      const float f = static_cast<float>(h);
      if (!std::isnan(f)) CHECK(Half(f).bits == h.bits);
    }
  }

  TEST_CASE("conversions truncate to integers and ask 'is not zero' for bool") {
    const Tensor t = Tensor::of({-1.7, 0, 2.9});
    CHECK(t.to(Dtype::i32).to_vector<std::int64_t>() == std::vector<std::int64_t>{-1, 0, 2});
    CHECK(t.to(Dtype::boolean).to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 0, 1});
    CHECK(promote(Dtype::u8, Dtype::i8) == Dtype::i16);
    CHECK(promote(Dtype::f16, Dtype::bf16) == Dtype::f32);
    CHECK((Tensor::of({1, 2}).to(Dtype::i32) + Tensor::of(0.5)).dtype() == Dtype::f32);
    CHECK((Tensor::of({1, 2}).to(Dtype::f16) + Tensor::of(0.5)).dtype() == Dtype::f16);
  }

  TEST_CASE("floats that an integer type does not hold convert as PyTorch does on x86") {
    // Values of torch 2.13. 8 and 16-bit signed types go by way of int32, uint8 by way of int64; both give their
    // smallest number for what they cannot hold, and the lowest bits are kept.
    const std::vector<double> values{INFINITY, -INFINITY, NAN,     3e9,  -3e9,  1e20, -1e20, 300, -300,
                                     70000,    -70000,    5e9 + 3, -1.5, 127.9, 128,  255,   256, -129};
    constexpr std::int64_t m32 = INT32_MIN, m64 = INT64_MIN;
    const std::vector<std::pair<Dtype, std::vector<std::int64_t>>> expected{
        {Dtype::i8, {0, 0, 0, 0, 0, 0, 0, 44, -44, 112, -112, 0, -1, 127, -128, -1, 0, 127}},
        {Dtype::u8, {0, 0, 0, 0, 0, 0, 0, 44, 212, 112, 144, 3, 255, 127, 128, 255, 0, 127}},
        {Dtype::i16, {0, 0, 0, 0, 0, 0, 0, 300, -300, 4464, -4464, 0, -1, 127, 128, 255, 256, -129}},
        {Dtype::i32, {m32, m32, m32, m32, m32, m32, m32, 300, -300, 70000, -70000, m32, -1, 127, 128, 255, 256, -129}},
        {Dtype::i64,
         {m64, m64, m64, 3'000'000'000, -3'000'000'000, m64, m64, 300, -300, 70000, -70000, 5'000'000'003, -1, 127, 128,
          255, 256, -129}}};
    const Tensor doubles = Tensor::from(values, Shape{18});
    for (const auto& [dtype, wanted] : expected) {
      const Dtype to = dtype;
      CAPTURE(to_string(to));
      CHECK(doubles.to(to).to_vector<std::int64_t>() == wanted);
      for (std::size_t i = 0; i < values.size(); ++i) {  // every way in: fill_, set_, item
        Tensor t = zeros({1}, to);
        CHECK(t.fill_(values[i]).to_vector<std::int64_t>()[0] == wanted[i]);
        t.zero_().set_({0}, values[i]);
        CHECK(t.to_vector<std::int64_t>()[0] == wanted[i]);
      }
    }
    const Tensor ends = Tensor::of({INFINITY, -INFINITY, NAN});
    for (const Dtype from : {Dtype::f32, Dtype::f16, Dtype::bf16})
      CHECK(ends.to(from).to(Dtype::i32).to_vector<std::int64_t>() == std::vector<std::int64_t>{m32, m32, m32});
    CHECK(Tensor::of(INFINITY).item<int>() == INT32_MIN);
    CHECK(Tensor::of(3e9).item<int>() == INT32_MIN);
    CHECK(Tensor::of(-INFINITY).item<std::int64_t>() == INT64_MIN);
    CHECK(Tensor::of(NAN).item<bool>());
    CHECK_THROWS_AS((void)arange(0, 1e300), ValueError);  // a length that no integer holds
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

TEST_SUITE("engine/autograd") {
  TEST_CASE("a gradient of another floating type arrives at a leaf in its own") {
    Tensor leaf = Tensor::of({1, 2});
    leaf.requires_grad_();
    leaf.backward(Tensor::of({3, 4}).to(Dtype::f64));
    CHECK(leaf.grad() == Tensor::of({3, 4}));
  }

  TEST_CASE("gradients accumulate over calls and over uses") {
    Tensor x = Tensor::of({1, 2}).requires_grad_();
    for (int i = 0; i < 2; ++i) sum(x * x + x).backward();
    CHECK(x.grad() == Tensor::of({6, 10}));
  }

  TEST_CASE("a freed graph, a changed input and a missing graph are StateErrors") {
    Tensor x = Tensor::of({1, 2}).requires_grad_();
    Tensor w = Tensor::of({3, 4});
    const Tensor y = sum(x * w);
    y.backward(true);
    y.backward();
    CHECK_THROWS_AS(y.backward(), StateError);
    const Tensor z = sum(x * w);
    w.fill_(0);
    CHECK_THROWS_AS(z.backward(), StateError);
    CHECK(x.grad() == Tensor::of({6, 8}));  // the failed call added nothing
    CHECK_THROWS_AS(sum(w).backward(), StateError);
    CHECK_THROWS_AS((x * w).backward(), ShapeError);
  }

  TEST_CASE("NoGrad, detach and in-place rules") {
    Tensor x = Tensor::of({1, 2}).requires_grad_();
    CHECK_THROWS_AS(x.fill_(0), StateError);
    {
      NoGrad guard;
      CHECK(!(x * 2.0).requires_grad());
      x.add_(Tensor::of({1, 1}));
      const EnableGrad inner;
      CHECK((x * 2.0).requires_grad());
    }
    CHECK(x.at({0}) == 2);
    CHECK(!x.detach().requires_grad());
    CHECK_THROWS_AS((x * 2.0).requires_grad_(), StateError);
    CHECK_THROWS_AS(ones({2}, Dtype::i32).requires_grad_(), DtypeError);
  }

  TEST_CASE("a chain of 200,000 operations goes backward and is freed without recursion") {
    Tensor x = Tensor::of(0).requires_grad_();
    Tensor y = x;
    for (int i = 0; i < 200'000; ++i) y = y + 1.0;
    y.backward();
    CHECK(x.grad().item() == 1);
    y = x;
    for (int i = 0; i < 200'000; ++i) y = y + 1.0;  // freed without a backward
    y = Tensor();
  }
}

}  // namespace
