// What golden values and the table of cases do not show of element-wise operations.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "coppice/engine.h"

using namespace coppice;

namespace {

template <class T>
Tensor row(const std::vector<T>& values) {
  return Tensor::from(values, Shape{static_cast<std::int64_t>(values.size())});
}

/// Sum, difference and product of the extremes of a type are those of its width in bits.
template <class T>
void check_wraps(T least, T most) {
  CAPTURE(to_string(dtype_of<T>));
  const Tensor a = row<T>({most, least, most}), one = row<T>({1, 1, 1});
  const auto low = static_cast<T>(least + 1), high = static_cast<T>(most - 1);
  CHECK(add(a, one) == row<T>({least, low, least}));
  CHECK(sub(a, one) == row<T>({high, most, high}));
  CHECK(mul(a, row<T>({2, 2, most})) == row<T>({static_cast<T>(-2), 0, 1}));
}

}  // namespace

TEST_SUITE("engine/elementwise") {
  TEST_CASE("integers wrap around, as in PyTorch") {  // undefined otherwise: UndefinedBehaviorSanitizer tells
    check_wraps<std::int8_t>(INT8_MIN, INT8_MAX);
    check_wraps<std::uint8_t>(0, UINT8_MAX);
    check_wraps<std::int16_t>(INT16_MIN, INT16_MAX);
    check_wraps<std::int32_t>(INT32_MIN, INT32_MAX);
    check_wraps<std::int64_t>(INT64_MIN, INT64_MAX);
    CHECK(mul(row<std::int64_t>({std::int64_t{1} << 62}), row<std::int64_t>({4})) == row<std::int64_t>({0}));
    CHECK(add(row<std::int64_t>({INT64_MAX, 5}), Tensor::from(std::vector<std::int64_t>{INT64_MAX}, {})) ==
          row<std::int64_t>({-2, INT64_MIN + 4}));
  }

  TEST_CASE("shapes broadcast, scalars and empty tensors among them; others are refused with both shapes") {
    CHECK(Tensor::of({{1, 2}, {3, 4}}) + Tensor::of({10, 20}) == Tensor::of({{11, 22}, {13, 24}}));
    CHECK(Tensor::of(2) * Tensor::of({1, 2}) == Tensor::of({2, 4}));
    CHECK((zeros({0, 3}) - ones({3})).shape() == Shape{0, 3});
    CHECK(relu(Tensor::of(-1)).shape() == Shape{});
    CHECK_THROWS_WITH_AS((void)(ones({2, 3}) + ones({2})), doctest::Contains("(2, 3)"), ShapeError);
  }

  TEST_CASE("types promote as PyTorch's; what has no meaning for a type is refused") {
    const Tensor i = Tensor::of({1, 2}).to(Dtype::i32), b = Tensor::of({1, 0}).to(Dtype::boolean);
    CHECK((i + Tensor::of({1, 1})).dtype() == Dtype::f32);
    CHECK((i / i).dtype() == Dtype::f32);
    CHECK((b + b).dtype() == Dtype::boolean);
    CHECK((i.to(Dtype::f16) * Tensor::of(2.5)).dtype() == Dtype::f16);  // a scalar does not widen
    CHECK(exp(i).dtype() == Dtype::f32);
    CHECK_THROWS_AS((void)(b - b), DtypeError);
    CHECK_THROWS_AS((void)neg(b), DtypeError);
    CHECK_THROWS_AS((void)dropout(i, 0.5), DtypeError);
  }

  TEST_CASE("NaN: kept by relu and clamp, wins in maximum and minimum, unequal to itself") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const Tensor t = Tensor::of({nan, -1, 2});
    CHECK(isnan(relu(t)) == Tensor::of({1, 0, 0}).to(Dtype::boolean));
    CHECK(isnan(clamp(t, 0, 1)) == Tensor::of({1, 0, 0}).to(Dtype::boolean));
    CHECK(isnan(maximum(t, Tensor::of(0))) == isnan(minimum(Tensor::of(0), t)));
    CHECK(eq(t, t) == Tensor::of({0, 1, 1}).to(Dtype::boolean));
  }

  TEST_CASE("clamp takes crossing limits as PyTorch does, and refuses NaN") {
    CHECK(clamp(Tensor::of({-2, 0, 2}), 1, -1) == Tensor::of({-1, -1, -1}));
    CHECK_THROWS_AS((void)clamp(Tensor::of({1}), std::nan(""), 1), ValueError);
  }

  TEST_CASE("dropout scales what it keeps; 0 keeps all, 1 nothing, other numbers are refused") {
    Generator g(3);
    const Tensor y = dropout(ones({1000}), 0.25, &g);
    const auto kept = count_nonzero(y);
    CHECK(kept > 650);
    CHECK(kept < 850);
    CHECK(max(y).item<float>() == doctest::Approx(1 / 0.75));
    CHECK(dropout(ones({3}), 0) == ones({3}));
    CHECK(dropout(ones({3}), 1) == zeros({3}));
    for (const double p : {-0.1, 1.1, std::nan("")}) CHECK_THROWS_AS((void)dropout(ones({3}), p), ValueError);
  }
}
