// Dense integer products: exact on every level and unit, for all sizes, threads and rules.
#include <doctest/doctest.h>

#include <array>

#include "../../../engine/src/quant/int8_linear.h"
#include "engine/quant/int8_support.h"
#include "support/repeats.h"

using namespace coppice;
using namespace coppice::quant;
using kernels::Int8Out;
using kernels::Int8Rule;

namespace {

using Sizes = std::array<std::int64_t, 3>;

/// m, n, k around the sizes of tiles, steps and panels.
const std::vector<Sizes> kSizes{{1, 1, 1},     {1, 32, 4},   {1, 33, 63},   {2, 7, 5},    {3, 31, 64},
                                {4, 64, 65},   {5, 17, 127}, {6, 100, 10},  {7, 65, 128}, {8, 32, 100},
                                {9, 40, 66},   {12, 1, 64},  {13, 33, 192}, {15, 5, 3},   {16, 32, 64},
                                {17, 48, 130}, {31, 70, 61}, {32, 64, 256}, {33, 33, 65}, {40, 96, 72},
                                {47, 2, 1},    {64, 37, 99}, {65, 32, 68},  {100, 20, 7}, {300, 10, 20}};

struct Case {
  std::int64_t m, n, k, stride;
  std::vector<std::uint8_t> x;
  std::vector<std::int8_t> w;
  std::vector<std::int32_t> zw;
  std::int32_t zx = 0;

  Case(Sizes s, int zeros, Generator& g) : m(s[0]), n(s[1]), k(s[2]), stride(k + m % 3) {
    x = test::random_bytes<std::uint8_t>(m * stride + 4, 0, 255, g);
    w = test::random_bytes<std::int8_t>(n * k, -128, 127, g);
    zw = test::random_bytes<std::int32_t>(zeros == 0 ? 0 : zeros == 1 ? 1 : n, -128, 127, g);
    zx = static_cast<std::int32_t>(x.back());
  }
  std::vector<std::int32_t> expected() const { return test::exact_sums(m, n, k, x.data(), stride, zx, w, zw); }
  std::vector<std::int32_t> got() const {
    const Int8Panels panels(n, k, w, zw);
    std::vector<std::int32_t> y(static_cast<std::size_t>(m * n), -1);
    Int8Out out;
    out.input_zero = zx;
    multiply(panels, m, x.data(), stride, out, y.data());
    return y;
  }
};

}  // namespace

TEST_SUITE("engine/quant/int8_dense") {
  TEST_CASE("sums are exact at every level and unit") {
    Generator g(1);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (const Sizes& size : kSizes)
        for (int zeros = 0; zeros < 3; ++zeros) {
          const Case c(size, zeros, g);
          CAPTURE(c.m);
          CAPTURE(c.n);
          CAPTURE(c.k);
          CAPTURE(zeros);
          CHECK(c.got() == c.expected());
        }
    });
  }

  TEST_CASE("random sizes are exact") {
    Generator g(2);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      std::vector<std::int64_t> draw(3);
      for (int repeat = 0; repeat < test::repeats(60, 2000); ++repeat) {
        g.integers(draw, 1, 140);
        const Case c({draw[0], draw[1], draw[2]}, repeat % 3, g);
        CAPTURE(c.m);
        CAPTURE(c.n);
        CAPTURE(c.k);
        CHECK(c.got() == c.expected());
      }
    });
  }

  TEST_CASE("extreme bytes do not saturate on the way") {
    Generator g(3);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (const int weight : {-128, 127})
        for (const int zero : {0, 255}) {
          Case c({17, 33, 1030}, 0, g);
          std::ranges::fill(c.x, std::uint8_t{255});
          std::ranges::fill(c.w, static_cast<std::int8_t>(weight));
          c.zx = zero;
          CHECK(c.got() == c.expected());
        }
    });
  }

  TEST_CASE("sums of more than 31 bits wrap the same everywhere") {
    Generator g(4);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      Case c({2, 3, 70000}, 0, g);
      std::ranges::fill(c.x, std::uint8_t{255});
      std::ranges::fill(c.w, std::int8_t{-128});
      c.zx = 0;
      CHECK(c.got() == c.expected());
    });
  }

  TEST_CASE("empty sizes: no rows and no outputs write nothing, no inputs give sums of 0") {
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      Generator g(5);
      CHECK(Case({0, 5, 7}, 2, g).got().empty());
      CHECK(Case({5, 0, 7}, 2, g).got().empty());
      CHECK(Case({3, 4, 0}, 2, g).got() == std::vector<std::int32_t>(12, 0));
      CHECK(Case({20, 40, 0}, 0, g).got() == std::vector<std::int32_t>(800, 0));
    });
  }

  TEST_CASE("1, 2 and 7 threads give the same sums") {
    const test::IntegerSettings restore;
    Generator g(6);
    for (const Sizes& size : std::vector<Sizes>{{1, 3000, 2000}, {64, 1024, 300}, {700, 70, 130}, {600, 33, 64}}) {
      const Case c(size, 2, g);
      const auto expected = c.expected();
      for (const int threads : {1, 2, 7}) {
        set_num_threads(threads);
        CHECK(c.got() == expected);
      }
    }
  }
}
