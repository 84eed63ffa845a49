/// Norms at the ends of their types. Ordinary numbers are compared with PyTorch's in golden/ops_test.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "coppice/engine.h"

using namespace coppice;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kTiny = 5e-324;  // the smallest double above 0

Tensor doubles(const std::vector<double>& values, const Shape& shape) { return Tensor::from(values, shape); }

/// The norm of one row, over the last axis.
double row(const std::vector<double>& values, NormOrder p) {
  const auto n = static_cast<std::int64_t>(values.size());
  const double last = norm(doubles(values, {1, n}), p, {1}).at({0});
  // The same numbers along the first axis, where rows of neighbours are read as they lie.
  std::vector<double> columns;
  for (const double v : values) columns.insert(columns.end(), {v, 1.0});
  const double column = norm(doubles(columns, {n, 2}), p, {0}).at({0});
  CHECK((column == last || std::abs(column - last) <= 1e-14 * last));  // the first for infinity
  return last;
}

}  // namespace

TEST_SUITE("engine/norm") {
  TEST_CASE("squares and powers that leave the range of a double spoil no norm that it holds") {
    CHECK(row({3e200, 4e200}, 2) == doctest::Approx(5e200).epsilon(1e-14));
    CHECK(row({3e-200, -4e-200}, 2) == doctest::Approx(5e-200).epsilon(1e-14));
    CHECK(row({3e-170, 4e-170, 1e-300}, 2) == doctest::Approx(5e-170).epsilon(1e-14));
    CHECK(row({3 * kTiny, 4 * kTiny}, 2) == 5 * kTiny);
    CHECK(row({1e308, 1e308}, 2) == doctest::Approx(std::sqrt(2.0) * 1e308).epsilon(1e-14));
    CHECK(row({1e200, 1e200}, 3) == doctest::Approx(std::cbrt(2.0) * 1e200).epsilon(1e-14));
    CHECK(row({1e-200, 1e-200}, 3) == doctest::Approx(std::cbrt(2.0) * 1e-200).epsilon(1e-14));
    CHECK(row({1e200, 1e200}, 1.5) == doctest::Approx(std::pow(2.0, 2.0 / 3) * 1e200).epsilon(1e-12));
    CHECK(row({0.4, 0.3}, 1000) == doctest::Approx(0.4).epsilon(1e-14));
    CHECK(row({4, 3}, 1000) == doctest::Approx(4).epsilon(1e-14));
    CHECK(row({4, 3}, -1000) == doctest::Approx(3).epsilon(1e-14));
    CHECK(row({0.4, 0.3}, -1000) == doctest::Approx(0.3).epsilon(1e-14));
    CHECK(row({1e-200, 1e-200}, -2) == doctest::Approx(1e-200 / std::sqrt(2.0)).epsilon(1e-14));
    CHECK(row({1e200, 1e200}, -2) == doctest::Approx(1e200 / std::sqrt(2.0)).epsilon(1e-14));
    CHECK(row({1e308, 1e-308}, 1) == 1e308);
  }

  TEST_CASE("zeros, infinities and NaN keep their meaning") {
    for (const double p : {0.5, 2.0, 3.0}) {
      CHECK(row({0, 0}, p) == 0);
      CHECK(row({kInf, 1e200}, p) == kInf);
      CHECK(row({-kInf, 0}, p) == kInf);
      CHECK(std::isnan(norm(doubles({1e200, NAN}, {2}), p).item()));
      CHECK(std::isnan(norm(doubles({kInf, NAN}, {2}), p).item()));
    }
    CHECK(row({0, 1e200}, -2) == 0);
    CHECK(row({kInf, 2}, -2) == 2);
    CHECK(row({kInf, kInf}, -2) == kInf);
    CHECK(std::isnan(norm(doubles({0, NAN}, {2}), -2).item()));
    CHECK(norm(zeros({0}, Dtype::f64), -2).item() == 0);
  }

  TEST_CASE("a slice of one entry has its size as norm, exactly, as in PyTorch") {
    const std::vector<double> values{2e200, -1e200, 3e-200, -0.1, 1e-323, 0};
    for (const double p : {1.0, 2.0, 3.0, 0.5, -1.0, -2.0, kInf, -kInf})
      CHECK(norm(doubles(values, {1, 6}), p, {0}) == abs(doubles(values, {6})));
    CHECK(norm(doubles(values, {1, 6}), NormOrder::Word::fro, {0}) == abs(doubles(values, {6})));
    CHECK(norm(doubles(values, {6, 1}), 3, {1}) == abs(doubles(values, {6})));
    CHECK(norm(doubles(values, {1, 6}), 0, {0}) == doubles({1, 1, 1, 1, 1, 0}, {6}));
    CHECK(norm(Tensor::of({{-0.1, 3}}), 3, {0}) == Tensor::of({0.1, 3}));
  }

  TEST_CASE("float32 is added up in double: what PyTorch loses to infinity and zero is kept") {
    CHECK(norm(Tensor::of({3e30, 4e30})).item() == doctest::Approx(5e30).epsilon(1e-6));
    CHECK(norm(Tensor::of({3e-30, 4e-30})).item() == doctest::Approx(5e-30).epsilon(1e-6));
    CHECK(norm(Tensor::of({1e30, 1e30}), 12).item() == doctest::Approx(1e30 * std::pow(2.0, 1.0 / 12)).epsilon(1e-6));
    CHECK(std::isinf(norm(Tensor::of({3e38, 3e38})).item()));  // a norm that float32 does not hold
  }

  TEST_CASE("the gradient is right where squares overflow") {
    Tensor x = doubles({3e200, -4e200}, {2}).requires_grad_();
    norm(x).backward();
    CHECK(x.grad().at({0}) == doctest::Approx(0.6));
    CHECK(x.grad().at({1}) == doctest::Approx(-0.8));
  }

  TEST_CASE("nuclear norms of half types are those of float32, rounded") {
    for (const Dtype dtype : {Dtype::f16, Dtype::bf16})
      CHECK(norm(eye(3).to(dtype), NormOrder::Word::nuc) == full({}, 3, dtype));
    CHECK(norm(doubles({3e200, 0, 0, 4e200}, {2, 2}), NormOrder::Word::nuc).item() ==
          doctest::Approx(7e200).epsilon(1e-14));
    CHECK(norm(doubles({3e-200, 0, 0, 4e-200}, {2, 2}), NormOrder::Word::nuc).item() ==
          doctest::Approx(7e-200).epsilon(1e-14));
  }

  TEST_CASE("norms are equal for any number of threads, where some slices must be scaled too") {
    Tensor x = rand({300, 700}, Dtype::f64);
    for (std::int64_t i = 0; i < 300; i += 7)
      for (std::int64_t j = 0; j < 700; ++j) x.set_({i, j}, x.at({i, j}) * (i % 2 == 0 ? 1e200 : 1e-200));
    const int before = num_threads();
    set_num_threads(1);
    const Tensor rows = norm(x, 2, {1}), columns = norm(x, 2, {0});
    for (const int threads : {2, 7}) {
      set_num_threads(threads);
      CHECK(norm(x, 2, {1}) == rows);
      CHECK(norm(x, 2, {0}) == columns);
    }
    set_num_threads(before);
  }
}
