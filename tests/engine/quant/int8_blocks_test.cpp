// Products of block-sparse bytes: exact on every level and unit, for all formats, sizes, threads and rules.
#include <doctest/doctest.h>

#include <array>

#include "../../../engine/src/quant/int8_blocks.h"
#include "engine/quant/int8_support.h"

using namespace coppice;
using namespace coppice::quant;
using kernels::Int8Out;

namespace {

using Sizes = std::array<std::int64_t, 3>;

struct Case {
  std::int64_t m, n, k, height, stride;
  std::vector<std::uint8_t> x;
  std::vector<std::int8_t> w;
  std::int32_t zx;

  /// Every `every`-th block stays, others become 0; so do some whole groups.
  Case(Sizes s, std::int64_t h, std::int64_t every, Generator& g)
      : m(s[0]), n(s[1]), k(s[2]), height(h), stride(k + m % 3) {
    x = test::random_bytes<std::uint8_t>(m * stride + 4, 0, 255, g);
    w = test::random_bytes<std::int8_t>(n * k, -128, 127, g);
    zx = x.back();
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t q = 0; q < k; ++q)
        if ((j / height * 7 + q / 4) % every != 0 || j / height % 5 == 3) w[static_cast<std::size_t>(j * k + q)] = 0;
  }
  std::vector<std::int32_t> expected() const { return test::exact_sums(m, n, k, x.data(), stride, zx, w, {}); }
  std::vector<std::int32_t> got() const {
    const Int8Matrix packed(n, k, height, w);
    std::vector<std::int32_t> y(static_cast<std::size_t>(m * n), -1);
    Int8Out out;
    out.input_zero = zx;
    multiply(packed, m, x.data(), stride, out, y.data());
    return y;
  }
};

const std::vector<Sizes> kSizes{{1, 1, 1},    {1, 32, 4},   {1, 33, 63},  {1, 70, 515}, {2, 7, 5},    {3, 31, 64},
                                {4, 64, 65},  {5, 17, 127}, {8, 32, 100}, {15, 5, 3},   {16, 32, 64}, {17, 48, 130},
                                {33, 33, 65}, {48, 40, 72}, {63, 64, 80}, {64, 37, 99}, {65, 50, 68}, {140, 20, 30}};

}  // namespace

TEST_SUITE("engine/quant/int8_blocks") {
  TEST_CASE("sums are exact at every level and unit, for every height") {
    Generator g(1);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (const std::int64_t height : {1, 4, 8, 16})
        for (const Sizes& size : kSizes)
          for (const std::int64_t every : {1, 3}) {
            const Case c(size, height, every, g);
            CAPTURE(height);
            CAPTURE(c.m);
            CAPTURE(c.n);
            CAPTURE(c.k);
            CAPTURE(every);
            CHECK(c.got() == c.expected());
          }
    });
  }

  TEST_CASE("extreme bytes do not saturate on the way") {
    Generator g(2);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (const std::int64_t height : {1, 4, 8, 16})
        for (const std::int64_t m : {1, 20}) {
          Case c({m, 33, 1030}, height, 1, g);
          std::ranges::fill(c.x, std::uint8_t{255});
          std::ranges::fill(c.w, std::int8_t{-128});
          c.zx = 0;
          CAPTURE(height);
          CHECK(c.got() == c.expected());
        }
    });
  }

  TEST_CASE("more inputs than 16 bits can name") {
    Generator g(3);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (const std::int64_t height : {1, 4, 8, 16})
        for (const std::int64_t m : {1, 16}) {
          const Case c({m, 17, 140'003}, height, 50, g);
          CHECK(c.got() == c.expected());
        }
    });
  }

  TEST_CASE("only blocks that hold something are stored") {
    std::vector<std::int8_t> w(10 * 10, 0);
    w[9 * 10 + 9] = 1;
    w[0] = 2;
    for (const std::int64_t height : {1, 4, 8, 16}) CHECK(Int8Matrix(10, 10, height, w).blocks() == 2);
    CHECK(Int8Matrix(10, 10, 4, w).bytes() == 2 * 16 + 4 * 4 + 2 * 2);
    CHECK(Int8Matrix(10, 10, 4, std::vector<std::int8_t>(100, 0)).blocks() == 0);
  }

  TEST_CASE("empty sizes: no rows and no outputs write nothing, no inputs give sums of 0") {
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      Generator g(4);
      for (const std::int64_t height : {1, 4, 8, 16}) {
        CHECK(Case({0, 5, 7}, height, 1, g).got().empty());
        CHECK(Case({5, 0, 7}, height, 1, g).got().empty());
        CHECK(Case({3, 4, 0}, height, 1, g).got() == std::vector<std::int32_t>(12, 0));
        CHECK(Case({20, 40, 0}, height, 1, g).got() == std::vector<std::int32_t>(800, 0));
      }
    });
  }

  TEST_CASE("every rule writes what dense weights write") {
    Generator g(5);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (const std::int64_t height : {1, 4, 8, 16})
        for (const std::int64_t m : {1, 21}) {
          const Case c({m, 45, 52}, height, 2, g);
          const std::vector<double> scales{0.004};
          const auto bias = test::random_floats(c.n, -3, 3, g);
          const Int8Panels panels(c.n, c.k, c.w, {});
          const Int8Matrix packed(c.n, c.k, height, c.w);
          const auto size = static_cast<std::size_t>(c.m * c.n);
          for (const Requantize rule : {Requantize::fbgemm, Requantize::onednn, Requantize::qnnpack}) {
            const StaticConstants constants(rule, {0.02f, c.zx}, {0.1f, 60}, true, c.n, scales, bias);
            std::vector<std::uint8_t> dense(size), sparse(size);
            multiply(panels, c.m, c.x.data(), c.stride, output_of(constants), dense.data());
            multiply(packed, c.m, c.x.data(), c.stride, output_of(constants), sparse.data());
            CHECK(sparse == dense);
          }
          const DynamicConstants constants(c.n, scales, bias);
          std::vector<float> dense(size), sparse(size);
          const Int8Out out = output_of(constants, DynamicSum::fused, {0.02f, c.zx}, false);
          multiply(panels, c.m, c.x.data(), c.stride, out, dense.data());
          multiply(packed, c.m, c.x.data(), c.stride, out, sparse.data());
          CHECK(sparse == dense);
        }
    });
  }

  TEST_CASE("1, 2 and 7 threads give the same sums") {
    const test::IntegerSettings restore;
    Generator g(6);
    for (const std::int64_t height : {1, 4, 8, 16})
      for (const Sizes& size : std::vector<Sizes>{{1, 3000, 2000}, {200, 300, 300}}) {
        const Case c(size, height, 2, g);
        const auto expected = c.expected();
        for (const int threads : {1, 2, 7}) {
          set_num_threads(threads);
          CHECK(c.got() == expected);
        }
      }
  }
}
