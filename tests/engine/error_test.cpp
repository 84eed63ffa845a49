// Categories of errors, their places, and the texts that messages are made of.
#include "coppice/engine/error.h"

#include <doctest/doctest.h>

#include <limits>

#include "coppice/engine.h"

namespace {

using namespace coppice;

TEST_SUITE("engine/error") {
  TEST_CASE("each category is caught as itself, as its parent and as Error") {
    CHECK_THROWS_AS(throw ShapeError("x"), ValueError);
    CHECK_THROWS_AS(throw DtypeError("x"), TypeError);
    CHECK_THROWS_AS(throw LimitError("x"), Error);
    CHECK_THROWS_AS(throw FormatError("x"), std::runtime_error);
    CHECK_THROWS_AS(throw KeyError("x"), KeyError);
    CHECK(std::is_base_of_v<ValueError, ShapeError>);
    CHECK_FALSE(std::is_base_of_v<ValueError, KeyError>);
  }

  TEST_CASE("a place stands before the message, the last one set, also in copies") {
    ShapeError error("[linear] wrong");
    CHECK_FALSE(error.has_place());
    error.set_place("in 'fc' (Linear): ");
    CHECK(std::string(error.what()) == "in 'fc' (Linear): [linear] wrong");
    error.set_place("in 'a.fc' (Linear): ");
    const ShapeError copy = error;
    CHECK(copy.has_place());
    CHECK(std::string(copy.what()) == "in 'a.fc' (Linear): [linear] wrong");
  }

  TEST_CASE("cat joins texts, numbers as they read back, and whatever has a to_string") {
    CHECK(cat("a", std::string("b"), std::string_view("c"), 'd', true) == "abcdtrue");
    CHECK(cat(0.1, " ", 1e300, " ", std::numeric_limits<std::int64_t>::min()) == "0.1 1e+300 -9223372036854775808");
    CHECK(cat(std::numeric_limits<double>::infinity()) == "inf");
    CHECK(cat(Shape{2, 3}, " of ", Dtype::bf16) == "(2, 3) of bfloat16");
    CHECK(cat(1.1f) == "1.1");
  }
}

}  // namespace
