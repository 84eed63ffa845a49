/// What golden values do not show of arithmetic.
#include <doctest/doctest.h>

#include <cstdint>

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

TEST_SUITE("engine/binary") {
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
}
