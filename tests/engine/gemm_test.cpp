#include "../../engine/src/gemm.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "coppice/engine/cpu.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"
#include "engine/levels.h"
#include "support/repeats.h"

using namespace coppice;
using kernels::Gemm;
using test::levels;
using test::Settings;

namespace {

/// A product with random contents; row distances are longer than the rows, and the gaps hold NaN.
template <class T>
struct Case {
  std::vector<T> a, b, c, row_bias, col_bias;
  Gemm<T> p;

  Case(std::int64_t m, std::int64_t n, std::int64_t k, bool ta, bool tb, bool accumulate, bool biases, Generator& g) {
    p = {.m = m, .n = n, .k = k, .trans_a = ta, .trans_b = tb, .accumulate = accumulate};
    p.lda = (ta ? m : k) + 3;
    p.ldb = n == 1 && !tb ? 1 : (tb ? k : n) + 1;
    p.ldc = n + 2;
    fill(a, ta ? k : m, ta ? m : k, p.lda, g);
    fill(b, tb ? n : k, tb ? k : n, p.ldb, g);
    fill(c, m, n, p.ldc, g);
    fill(row_bias, 1, n, n, g);
    fill(col_bias, 1, m, m, g);
    if (!accumulate)
      for (T& x : c) x = std::numeric_limits<T>::quiet_NaN();  // must not be read
    p.a = a.data();
    p.b = b.data();
    if (biases) {
      p.row_bias = row_bias.data();
      p.col_bias = col_bias.data();
    }
  }

  static void fill(std::vector<T>& out, std::int64_t rows, std::int64_t cols, std::int64_t ld, Generator& g) {
    out.assign(static_cast<std::size_t>(rows * ld), std::numeric_limits<T>::quiet_NaN());
    for (std::int64_t r = 0; r < rows; ++r)
      g.uniform(std::span(out).subspan(static_cast<std::size_t>(r * ld), static_cast<std::size_t>(cols)), -1, 1);
  }

  std::vector<T> run(bool serial) {
    std::vector<T> out = c;
    p.c = out.data();
    serial ? kernels::gemm_serial(p) : kernels::gemm(p);
    return out;
  }

  /// Largest difference from a product in double; infinity when an element outside C was written.
  double error(const std::vector<T>& got) const {
    double worst = 0;
    for (std::int64_t i = 0; i < p.m; ++i) {
      for (std::int64_t j = 0; j < p.n; ++j) {
        double x = p.accumulate ? static_cast<double>(c[static_cast<std::size_t>(i * p.ldc + j)]) : 0;
        if (p.row_bias) x += p.row_bias[j];
        if (p.col_bias) x += p.col_bias[i];
        for (std::int64_t q = 0; q < p.k; ++q)
          x += static_cast<double>(p.trans_a ? p.a[q * p.lda + i] : p.a[i * p.lda + q]) *
               static_cast<double>(p.trans_b ? p.b[j * p.ldb + q] : p.b[q * p.ldb + j]);
        const double d = std::abs(x - static_cast<double>(got[static_cast<std::size_t>(i * p.ldc + j)]));
        if (!(d <= worst)) worst = d;  // NaN counts as worst
      }
      for (std::int64_t j = p.n; j < p.ldc; ++j) {
        const auto at = static_cast<std::size_t>(i * p.ldc + j);
        if (std::memcmp(&got[at], &c[at], sizeof(T)) != 0) return INFINITY;
      }
    }
    return worst;
  }
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

using Sizes = std::array<std::int64_t, 3>;

}  // namespace

TEST_SUITE("engine/gemm") {
  TEST_CASE_TEMPLATE("products equal a double reference at every level, transposed or not", T, float, double) {
    const Settings restore;
    const double unit = sizeof(T) == 4 ? 1.2e-7 : 2.3e-16;
    const std::vector<Sizes> sizes{{1, 1, 1},    {1, 7, 5},     {1, 70, 33},  {2, 3, 4},      {3, 17, 16},
                                   {4, 64, 32},  {5, 33, 15},   {6, 12, 100}, {7, 130, 47},   {12, 32, 64},
                                   {13, 31, 65}, {16, 48, 20},  {17, 9, 257}, {25, 66, 31},   {33, 1, 19},
                                   {64, 10, 84}, {65, 70, 40},  {100, 5, 7},  {37, 129, 300}, {250, 40, 18},
                                   {3, 530, 11}, {20, 520, 270}};
    Generator g(1);
    for (const CpuLevel level : levels()) {
      set_cpu_level(level);
      for (const Sizes& size : sizes)
        for (int bits = 0; bits < 8; ++bits) {
          const std::int64_t m = size[0], n = size[1], k = size[2];
          Case<T> c(m, n, k, bits & 1, bits & 2, bits & 4, bits % 3 == 1, g);
          CAPTURE(name_of(level));
          CAPTURE(m);
          CAPTURE(n);
          CAPTURE(k);
          CAPTURE(bits);
          const double tolerance = unit * (static_cast<double>(k) + 8);
          CHECK(c.error(c.run(true)) <= tolerance);
          CHECK(c.error(c.run(false)) <= tolerance);
        }
    }
  }

  TEST_CASE("random sizes and flags equal a double reference") {
    const Settings restore;
    Generator g(2);
    std::vector<std::int64_t> draw(4);
    for (int repeat = 0; repeat < test::repeats(300, 5000); ++repeat) {
      g.integers(draw, 1, 80);
      const auto bits = draw[3];
      const auto level = levels()[static_cast<std::size_t>(repeat) % levels().size()];
      set_cpu_level(level);
      Case<float> c(draw[0], draw[1], draw[2], bits & 1, bits & 2, bits & 4, bits & 8, g);
      CAPTURE(draw[0]);
      CAPTURE(draw[1]);
      CAPTURE(draw[2]);
      CAPTURE(bits);
      CHECK(c.error(c.run(false)) <= 1.2e-7 * static_cast<double>(draw[2] + 8));
    }
  }

  TEST_CASE("an empty inner dimension gives the biases, or leaves C when it accumulates") {
    Generator g(3);
    for (int bits = 0; bits < 4; ++bits) {
      Case<float> c(3, 4, 0, false, false, bits & 1, bits & 2, g);
      CHECK(c.error(c.run(true)) == 0);
      CHECK(c.error(c.run(false)) == 0);
    }
  }

  TEST_CASE("no rows or no columns: nothing is read or written") {
    float c = 5;
    kernels::gemm(Gemm<float>{.m = 0, .n = 3, .k = 2, .ldc = 3, .accumulate = false});
    kernels::gemm(Gemm<float>{.m = 3, .n = 0, .k = 2, .c = &c, .ldc = 0});
    kernels::gemm_serial(Gemm<float>{.m = 3, .n = 0, .k = 2, .c = &c, .ldc = 0});
    CHECK(c == 5);
  }

  TEST_CASE("1, 2 and 7 threads give the same bits") {
    const Settings restore;
    Generator g(4);
    for (const auto& [m, n, k] : std::vector<Sizes>{
             {1, 3000, 1000}, {8, 1024, 1024}, {64, 1024, 512}, {300, 700, 260}, {1000, 1, 2000}, {520, 530, 64}})
      for (const bool tb : {false, true}) {
        Case<float> c(m, n, k, false, tb, false, true, g);
        set_num_threads(1);
        const auto one = c.run(false);
        CHECK(c.error(one) <= 1e-6 * std::sqrt(static_cast<double>(k)) * 4);
        for (const int threads : {2, 7}) {
          set_num_threads(threads);
          CHECK(same_bits(c.run(false), one));
        }
      }
  }

  TEST_CASE("infinity and NaN stay in their row and column") {
    const Settings restore;
    for (const CpuLevel level : levels()) {
      set_cpu_level(level);
      for (const std::int64_t m : {1, 8, 80}) {
        const std::int64_t n = 40, k = 37;  // k leaves a tail that is loaded twice
        std::vector<float> a(static_cast<std::size_t>(m * k), 1.0f), b(static_cast<std::size_t>(n * k), 1.0f);
        b[k] = INFINITY;           // row 1 of the transposed B
        b[2 * k + 36] = NAN;       // row 2, in the tail
        b[3 * k + 30] = INFINITY;  // row 3, in the part that the tail loads again
        std::vector<float> c(static_cast<std::size_t>(m * n));
        kernels::gemm({.m = m,
                       .n = n,
                       .k = k,
                       .a = a.data(),
                       .lda = k,
                       .b = b.data(),
                       .ldb = k,
                       .trans_b = true,
                       .c = c.data(),
                       .ldc = n});
        for (std::int64_t i = 0; i < m; ++i) {
          const float* row = c.data() + i * n;
          CHECK(row[0] == 37);
          CHECK(row[1] == INFINITY);
          CHECK(std::isnan(row[2]));
          CHECK(row[3] == INFINITY);
          CHECK(row[39] == 37);
        }
      }
    }
  }
}
