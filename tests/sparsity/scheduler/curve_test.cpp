#include "coppice/sparsity/scheduler/curve.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "coppice/engine/error.h"

using namespace coppice;
using namespace coppice::sparsity;

TEST_SUITE("sparsity/scheduler/curve") {
  TEST_CASE("shares along the way") {
    const struct {
      Curve curve;
      const char* name;
      double at[7];  // x = 0, 0.1, 0.25, 0.5, 0.8, 1, 3
    } rows[] = {{Curve::cubic, "cubic", {0, 0.271, 0.578125, 0.875, 0.992, 1, 1}},
                {Curve::linear, "linear", {0, 0.1, 0.25, 0.5, 0.8, 1, 1}},
                {Curve::step, "step", {0, 0, 0.25, 0.5, 0.75, 1, 1}},
                {Curve::constant, "constant", {1, 1, 1, 1, 1, 1, 1}}};
    const double x[] = {0, 0.1, 0.25, 0.5, 0.8, 1, 3};
    for (const auto& row : rows) {
      CAPTURE(row.name);
      CHECK(std::string_view(to_string(row.curve)) == row.name);
      CHECK(curve_of(row.name) == row.curve);
      for (std::size_t i = 0; i < 7; ++i) CHECK(share_of(row.curve, x[i]) == doctest::Approx(row.at[i]));
    }
  }

  TEST_CASE("what is no way and no name") {
    CHECK_THROWS_AS((void)share_of(Curve::linear, -0.1), ValueError);
    CHECK_THROWS_AS((void)share_of(Curve::constant, std::nan("")), ValueError);
    CHECK_THROWS_WITH_AS((void)curve_of("Cubic"), "[curve_of] a curve is cubic, linear, step or constant; got 'Cubic'",
                         ValueError);
  }
}
