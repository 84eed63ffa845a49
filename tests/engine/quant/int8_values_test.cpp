// Quantising, dequantising and ranges: each against its formula, bit for bit, on every level and unit.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "../../../engine/src/quant/int8_linear.h"
#include "engine/quant/int8_support.h"
#include "support/repeats.h"

using namespace coppice;
using namespace coppice::quant;
using kernels::Int8Scale;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::uint8_t expected(float x, const Int8Scale& s) {
  if (std::isnan(x)) return static_cast<std::uint8_t>(s.zero);
  const float scaled = x * s.inverse, z = static_cast<float>(s.zero), sum = scaled + z;
  const float v = s.fused ? std::fma(x, s.inverse, z) : sum;
  return test::byte_of(static_cast<double>(test::rounded(v)), s.is_signed ? -128 : 0, s.is_signed ? 127 : 255);
}

std::vector<std::uint8_t> quantized(const std::vector<float>& x, const Int8Scale& s) {
  std::vector<std::uint8_t> q(x.size());
  quantize(x, s, q.data());
  return q;
}

}  // namespace

TEST_SUITE("engine/quant/int8_values") {
  TEST_CASE("bytes are the formula, fused or not, signed or not, for every length") {
    Generator g(1);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (std::int64_t n = 0; n < 70; ++n)
        for (const bool fused : {false, true})
          for (const bool is_signed : {false, true}) {
            const Int8Scale s{7.77f, is_signed ? -5 : 101, is_signed, fused};
            const auto x = test::random_floats(n, -30, 30, g);
            std::vector<std::uint8_t> want;
            for (const float v : x) want.push_back(expected(v, s));
            CAPTURE(n);
            CHECK(quantized(x, s) == want);
          }
    });
  }

  TEST_CASE("values at and beside halves") {
    Generator g(2);
    std::vector<float> x;
    const float inverse = 1.0f / 0.00214854861f;
    for (int i = 0; i < test::repeats(4000, 200000); ++i) {
      float v = (static_cast<float>(i % 700) - 350.5f) / inverse;
      for (int j = 0; j < i % 5; ++j) v = std::nextafter(v, kInf);
      x.push_back(v);
    }
    x.push_back(0.273939937f);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (const bool fused : {false, true})
        for (const int zero : {0, 11, 128}) {
          const Int8Scale s{inverse, zero, false, fused};
          std::vector<std::uint8_t> want;
          for (const float v : x) want.push_back(expected(v, s));
          CHECK(quantized(x, s) == want);
        }
    });
  }

  TEST_CASE("halves go to even, after the zero point was added") {
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      const std::vector<float> x{-2.5f, -1.5f, -0.5f, 0.5f, 1.5f, 2.5f};
      CHECK(quantized(x, {1.0f, 11, false, true}) == std::vector<std::uint8_t>{8, 10, 10, 12, 12, 14});
      CHECK(quantized(x, {1.0f, 0, true, true}) == std::vector<std::uint8_t>{254, 254, 0, 0, 2, 2});
    });
  }

  TEST_CASE("infinite and huge numbers give the limits, NaN the zero point") {
    const std::vector<float> x{kInf, -kInf, 3e38f, -3e38f, 1e10f, -1e10f, kNaN, -kNaN, 0.0f, -0.0f};
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (const bool fused : {false, true}) {
        CHECK(quantized(x, {1e6f, 7, false, fused}) == std::vector<std::uint8_t>{255, 0, 255, 0, 255, 0, 7, 7, 7, 7});
        CHECK(quantized(x, {1e6f, -7, true, fused}) ==
              std::vector<std::uint8_t>{127, 128, 127, 128, 127, 128, 249, 249, 249, 249});
      }
    });
  }

  TEST_CASE("numbers of all bytes come back by the formula") {
    std::vector<std::uint8_t> q(256 + 13);
    for (std::size_t i = 0; i < q.size(); ++i) q[i] = static_cast<std::uint8_t>(i);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      const kernels::Int8Kernels& kernels = kernels::int8_in_use();
      for (const bool is_signed : {false, true}) {
        const std::int32_t zero = is_signed ? -77 : 77;
        const double scale = 0.012345678901234567;
        std::vector<float> x(q.size()), wide(q.size()), want, wide_want;
        kernels.dequantize(q.data(), std::ssize(q), static_cast<float>(scale), zero, is_signed, x.data());
        kernels.dequantize_wide(q.data(), std::ssize(q), scale, zero, is_signed, wide.data());
        for (const std::uint8_t byte : q) {
          const int steps = (is_signed ? static_cast<std::int8_t>(byte) : byte) - zero;
          want.push_back(static_cast<float>(scale) * static_cast<float>(steps));
          wide_want.push_back(static_cast<float>(scale * steps));
        }
        CHECK(x == want);
        CHECK(wide == wide_want);
        CHECK(want != wide_want);
      }
    });
  }

  TEST_CASE("the range passes over NaN") {
    Generator g(3);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (std::int64_t n = 1; n < 150; n += n < 70 ? 1 : 13) {
        auto x = test::random_floats(n, -5, 5, g);
        const auto want = std::ranges::minmax(x);
        CAPTURE(n);
        CHECK(range_of(x).min == want.min);
        CHECK(range_of(x).max == want.max);
        x.insert(x.begin() + n / 2, 3, kNaN);
        x.push_back(kNaN);
        CHECK(range_of(x).min == want.min);
        CHECK(range_of(x).max == want.max);
      }
      CHECK(range_of({}).min == kInf);
      CHECK(range_of(std::vector<float>(40, kNaN)).max == -kInf);
      CHECK(range_of(std::vector<float>{1, -kInf, kInf}).min == -kInf);
    });
  }

  TEST_CASE("rows of bytes start at whole fours; 1, 2 and 7 threads agree") {
    const test::IntegerSettings restore;
    Generator g(4);
    for (const auto& [m, k] :
         std::vector<std::pair<std::int64_t, std::int64_t>>{{3, 5}, {2, 8}, {0, 3}, {5, 0}, {900, 1003}}) {
      const auto x = test::random_floats(m * k, -1, 1, g);
      const Int8Scale s{100.0f, 3, false, true};
      std::vector<std::uint8_t> want;
      for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t q = 0; q < row_stride(k); ++q)
          want.push_back(q < k ? expected(x[static_cast<std::size_t>(i * k + q)], s) : std::uint8_t{0});
      for (const int threads : {1, 2, 7}) {
        set_num_threads(threads);
        std::vector<std::uint8_t> q(want.size(), 9);
        quantize_rows(x.data(), m, k, s, q.data());
        CHECK(q == want);
      }
    }
    const auto many = test::random_floats(1'000'000, -1, 1, g);
    for (const int threads : {1, 7}) {
      set_num_threads(threads);
      CHECK(range_of(many).min == *std::ranges::min_element(many));
      CHECK(range_of(many).max == *std::ranges::max_element(many));
    }
  }
}
