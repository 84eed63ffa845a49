// Shapes, axes and the rule of broadcasting.
#include "coppice/engine/shape.h"

#include <doctest/doctest.h>

#include <sstream>

#include "coppice/engine/error.h"

namespace {

using namespace coppice;

TEST_SUITE("engine/shape") {
  TEST_CASE("elements, sizes from either end, and text as Python's") {
    const Shape s{2, 3, 4};
    CHECK(s.rank() == 3);
    CHECK(s.numel() == 24);
    CHECK(s[0] == 2);
    CHECK(s[-1] == 4);
    CHECK(to_string(s) == "(2, 3, 4)");
    CHECK(to_string(Shape{}) == "()");
    std::ostringstream out;
    out << Shape{3};
    CHECK(out.str() == "(3,)");
    CHECK(Shape{}.numel() == 1);
    CHECK(Shape{3, 0, 5}.numel() == 0);
    CHECK(Shape{2, 3} == Shape(std::vector<std::int64_t>{2, 3}));
    CHECK_FALSE(Shape{2, 3} == Shape{3, 2});
    CHECK_THROWS_AS((void)s[3], IndexError);
    CHECK_THROWS_AS((void)s[-4], IndexError);
  }

  TEST_CASE("negative sizes and more elements than 2^63 - 1 are refused, beside an empty axis too") {
    CHECK_THROWS_AS((Shape{2, -1}), ValueError);
    CHECK_THROWS_AS((Shape{std::int64_t{1} << 32, std::int64_t{1} << 31}), ValueError);
    CHECK((Shape{(std::int64_t{1} << 31) - 1, std::int64_t{1} << 31}.numel()) > 0);
  }

  TEST_CASE("axes count from either end; a scalar takes 0 and -1") {
    CHECK(resolve_axis("op", -1, 3) == 2);
    CHECK(resolve_axis("op", 0, 3) == 0);
    CHECK(resolve_axis("op", -1, 0) == 0);
    CHECK_THROWS_AS((void)resolve_axis("op", 1, 0), IndexError);
    CHECK_THROWS_WITH_AS((void)resolve_axis("sum", 3, 3), doctest::Contains("[sum]"), IndexError);
    CHECK_THROWS_AS((void)resolve_axis("op", -4, 3), IndexError);
  }

  TEST_CASE("broadcasting aligns last axes: equal sizes, or 1") {
    CHECK(broadcast("op", {2, 3}, {3}) == Shape{2, 3});
    CHECK(broadcast("op", {2, 1, 4}, {3, 1}) == Shape{2, 3, 4});
    CHECK(broadcast("op", {}, {5}) == Shape{5});
    CHECK(broadcast("op", {0, 3}, {1, 3}) == Shape{0, 3});
    CHECK_THROWS_WITH_AS((void)broadcast("add", {2, 3}, {2}), doctest::Contains("[add]"), ShapeError);
    CHECK_THROWS_AS((void)broadcast("op", {0}, {2}), ShapeError);
  }

  TEST_CASE("strides are row-major") {
    CHECK(strides_of({2, 3, 4}) == std::vector<std::int64_t>{12, 4, 1});
    CHECK(strides_of({}).empty());
  }
}

}  // namespace
