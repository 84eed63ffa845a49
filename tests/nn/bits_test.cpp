#include "coppice/nn/bits.h"

#include <doctest/doctest.h>

#include <limits>

#include "coppice/engine/create.h"

using namespace coppice;
using Bytes = std::vector<std::uint8_t>;

TEST_SUITE("nn/bits") {
  TEST_CASE("entry i is bit i % 8 of byte i / 8") {
    const Tensor mask = Tensor::of({{1, 0, 0, 0, 0}, {0, 0, 1, 1, 0}});
    const Tensor bits = nn::pack_bits(mask);
    CHECK(bits == Tensor::from(Bytes{0b10000001, 0b00000001}, {2}));
    CHECK(nn::unpack_bits(bits, {2, 5}, Dtype::f32) == mask);
    CHECK(nn::unpack_bits(bits, {2, 5}, Dtype::boolean) == mask.to(Dtype::boolean));
  }

  TEST_CASE("every length around a byte comes back, as every type") {
    for (std::int64_t n = 0; n <= 17; ++n)
      for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::i64, Dtype::boolean}) {
        CAPTURE(n);
        std::vector<float> values;
        for (std::int64_t i = 0; i < n; ++i) values.push_back(static_cast<float>((i * 5 + 1) % 3 == 0));
        const Tensor mask = Tensor::from(values, {n}).to(dtype);
        CHECK(nn::pack_bits(mask).numel() == (n + 7) / 8);
        CHECK(nn::unpack_bits(nn::pack_bits(mask), {n}, dtype) == mask);
      }
    CHECK(nn::unpack_bits(nn::pack_bits(Tensor::of(1)), Shape{}, Dtype::f32) == Tensor::of(1));
  }

  TEST_CASE("only 0 and 1 can be packed; -0 is 0") {
    CHECK(nn::is_binary(Tensor::of({0, 1, -0.0})));
    for (const double bad : {0.5, -1.0, 2.0, std::numeric_limits<double>::quiet_NaN()}) {
      CHECK_FALSE(nn::is_binary(Tensor::of({1, bad})));
      CHECK_THROWS_AS((void)nn::pack_bits(Tensor::of({1, bad})), ValueError);
    }
  }

  TEST_CASE("a wrong number of bytes, another type, or a spare bit that is set is refused") {
    CHECK_THROWS_AS((void)nn::unpack_bits(zeros({1}, Dtype::u8), {9}, Dtype::f32), FormatError);
    CHECK_THROWS_AS((void)nn::unpack_bits(zeros({3}, Dtype::u8), {9}, Dtype::f32), FormatError);
    CHECK_THROWS_AS((void)nn::unpack_bits(zeros({2, 1}, Dtype::u8), {9}, Dtype::f32), FormatError);
    CHECK_THROWS_AS((void)nn::unpack_bits(zeros({2}, Dtype::i8), {9}, Dtype::f32), FormatError);
    CHECK_THROWS_AS((void)nn::unpack_bits(Tensor::from(Bytes{0, 2}, {2}), {9}, Dtype::f32), FormatError);
    CHECK(nn::unpack_bits(Tensor::from(Bytes{0, 1}, {2}), {9}, Dtype::f32).at({8}) == 1);
  }
}
