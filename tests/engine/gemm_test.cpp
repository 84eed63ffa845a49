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

using namespace coppice;
using kernels::Gemm;

namespace {

struct Settings {  // restores threads and level at the end of a test
  int threads = num_threads();
  CpuLevel level = cpu_level();
  ~Settings() {
    set_num_threads(threads);
    set_cpu_level(level);
  }
};

std::vector<CpuLevel> levels() {
  if (best_cpu_level() == CpuLevel::baseline) return {CpuLevel::baseline};
  std::vector<CpuLevel> out;
  for (const CpuLevel l : {CpuLevel::v2, CpuLevel::v3, CpuLevel::v4})
    if (l <= best_cpu_level()) out.push_back(l);
  return out;
}

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
    const std::vector<Sizes> sizes{{1, 1, 1},   {1, 7, 5},    {1, 70, 33},   {2, 3, 4},    {3, 17, 16},  {4, 64, 32},
                                   {5, 33, 15}, {6, 12, 100}, {7, 130, 47},  {12, 32, 64}, {13, 31, 65}, {16, 48, 20},
                                   {17, 9, 257}, {25, 66, 31}, {33, 1, 19},  {64, 10, 84}, {65, 70, 40}, {100, 5, 7},
                                   {37, 129, 300}, {250, 40, 18}, {3, 530, 11}, {20, 520, 270}};
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
    for (int repeat = 0; repeat < 300; ++repeat) {
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
    for (const auto& [m, n, k] : std::vector<Sizes>{{1, 3000, 1000}, {8, 1024, 1024}, {64, 1024, 512}, {300, 700, 260},
                                                    {1000, 1, 2000}, {520, 530, 64}})
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
        kernels::gemm({.m = m, .n = n, .k = k, .a = a.data(), .lda = k, .b = b.data(), .ldb = k, .trans_b = true,
                       .c = c.data(), .ldc = n});
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

  TEST_CASE("exp, tanh and sigmoid are within 3e-7 of the exact value at every level") {
    const Settings restore;
    std::vector<float> x{0.0f, -0.0f, 1e-30f, -1e-30f, 0.6249999f, 0.625f, -0.625f, 9.5f, 88.0f, -87.0f, 20.0f, -20.0f};
    for (float v = -87; v < 88; v += 0.0371f) x.push_back(v);
    for (float v = -1; v < 1; v += 0.00137f) x.push_back(v);
    std::vector<float> y(x.size());
    const auto check = [&](auto exact) {
      double worst = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double e = exact(static_cast<double>(x[i]));
        const double d = std::abs(static_cast<double>(y[i]) - e);
        worst = std::max(worst, e == 0 ? d : d / std::abs(e));
      }
      CHECK(worst < 3e-7);
    };
    for (const CpuLevel level : levels()) {
      set_cpu_level(level);
      CAPTURE(name_of(level));
      const auto n = static_cast<std::int64_t>(x.size());
      kernels::vexp(x.data(), y.data(), n);
      check([](double v) { return std::exp(v); });
      kernels::vtanh(x.data(), y.data(), n);
      check([](double v) { return std::tanh(v); });
      kernels::vsigmoid(x.data(), y.data(), n);
      check([](double v) { return 1 / (1 + std::exp(-v)); });
    }
  }

  TEST_CASE("exp, tanh and sigmoid at the ends of the range, for every position in a vector") {
    const Settings restore;
    for (const CpuLevel level : levels()) {
      set_cpu_level(level);
      for (std::size_t n = 1; n < 40; n += 6)
        for (const float extreme : {INFINITY, 1e30f, 100.0f}) {
          std::vector<float> big(n, extreme), small(n, -extreme), nan(n, NAN), y(n);
          const auto size = static_cast<std::int64_t>(n);
          const auto all = [&](auto f, std::vector<float>& in, auto good) {
            f(in.data(), y.data(), size);
            for (const float v : y) CHECK(good(v));
          };
          all(kernels::vexp, big, [](float v) { return v == INFINITY; });
          all(kernels::vexp, small, [](float v) { return v < 1e-43f && v >= 0; });
          all(kernels::vtanh, big, [](float v) { return v == 1; });
          all(kernels::vtanh, small, [](float v) { return v == -1; });
          all(kernels::vsigmoid, big, [](float v) { return v == 1; });
          all(kernels::vsigmoid, small, [](float v) { return v < 1e-43f && v >= 0; });
          all(kernels::vexp, nan, [](float v) { return std::isnan(v); });
          all(kernels::vtanh, nan, [](float v) { return std::isnan(v); });
          all(kernels::vsigmoid, nan, [](float v) { return std::isnan(v); });
        }
    }
  }

  TEST_CASE("the LSTM cell follows its formula, in place and with the gates kept") {
    const Settings restore;
    for (const CpuLevel level : levels()) {
      set_cpu_level(level);
      for (const std::int64_t hidden : {1, 7, 16, 50}) {
        const auto size = static_cast<std::size_t>(hidden);
        Generator g(6);
        std::vector<float> gates(4 * size), before(size), c(size), h(size), acts(4 * size);
        g.uniform(std::span(gates), -4, 4);
        g.uniform(std::span(before), -2, 2);
        kernels::lstm_cell(gates.data(), before.data(), c.data(), h.data(), acts.data(), hidden);
        for (std::size_t j = 0; j < size; ++j) {
          const auto s = [](double v) { return 1 / (1 + std::exp(-v)); };
          const double i = s(gates[j]), f = s(gates[size + j]), o = s(gates[3 * size + j]);
          const double cell = std::tanh(static_cast<double>(gates[2 * size + j]));
          const double state = f * static_cast<double>(before[j]) + i * cell;
          CHECK(acts[j] == doctest::Approx(i).epsilon(1e-6));
          CHECK(acts[size + j] == doctest::Approx(f).epsilon(1e-6));
          CHECK(acts[2 * size + j] == doctest::Approx(cell).epsilon(1e-6));
          CHECK(acts[3 * size + j] == doctest::Approx(o).epsilon(1e-6));
          CHECK(std::abs(static_cast<double>(c[j]) - state) < 1e-6);
          CHECK(std::abs(static_cast<double>(h[j]) - o * std::tanh(state)) < 1e-6);
        }
        std::vector<float> h2(size);
        kernels::lstm_cell(gates.data(), before.data(), before.data(), h2.data(), nullptr, hidden);
        CHECK(before == c);
        CHECK(h2 == h);
      }
    }
  }
}
