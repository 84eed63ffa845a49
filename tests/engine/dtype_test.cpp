// Element types: names, sizes, promotion, and what becomes of a number in another type.
#include "coppice/engine/dtype.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "coppice/engine.h"

namespace {

using namespace coppice;

constexpr Dtype kAll[] = {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16, Dtype::i8,
                          Dtype::u8,  Dtype::i16, Dtype::i32, Dtype::i64,  Dtype::boolean};

TEST_SUITE("engine/dtype") {
  TEST_CASE("names go both ways, and unknown ones give nothing") {
    for (const Dtype dtype : kAll) {
      CHECK(dtype_from_name(name_of(dtype)) == dtype);
      std::ostringstream out;
      out << dtype;
      CHECK(out.str() == to_string(dtype));
      CHECK(to_string(dtype) == name_of(dtype));
    }
    CHECK(name_of(Dtype::bf16) == "bfloat16");
    CHECK(name_of(Dtype::boolean) == "bool");
    for (const char* word : {"", "float", "Float32", "float32 ", "int128"}) CHECK_FALSE(dtype_from_name(word));
  }

  TEST_CASE("sizes and kinds; dispatch calls with the C++ type") {
    std::size_t bytes = 0;
    for (const Dtype dtype : kAll) {
      dispatch(dtype, [&]<class T>() {
        CHECK(dtype_of<T> == dtype);
        CHECK(sizeof(T) == itemsize(dtype));
      });
      bytes += itemsize(dtype);
    }
    CHECK(bytes == 4 + 8 + 2 + 2 + 1 + 1 + 2 + 4 + 8 + 1);
    CHECK(is_floating(Dtype::f16));
    CHECK(is_floating(Dtype::bf16));
    CHECK_FALSE(is_floating(Dtype::i64));
    CHECK_FALSE(is_floating(Dtype::boolean));
  }

  TEST_CASE("promotion is torch.promote_types: symmetric, and a type with itself is itself") {
    for (const Dtype a : kAll) {
      CHECK(promote(a, a) == a);
      CHECK(promote(a, Dtype::boolean) == a);
      for (const Dtype b : kAll) CHECK(promote(a, b) == promote(b, a));
    }
    CHECK(promote(Dtype::f16, Dtype::bf16) == Dtype::f32);
    CHECK(promote(Dtype::u8, Dtype::i8) == Dtype::i16);
    CHECK(promote(Dtype::u8, Dtype::i16) == Dtype::i16);
    CHECK(promote(Dtype::i64, Dtype::f16) == Dtype::f16);
    CHECK(promote(Dtype::f32, Dtype::f64) == Dtype::f64);
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
}

}  // namespace
