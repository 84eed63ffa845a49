#include "../../engine/src/functions.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "coppice/engine/random.h"
#include "engine/levels.h"

using namespace coppice;
using test::levels;
using test::Settings;

TEST_SUITE("engine/functions") {
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
