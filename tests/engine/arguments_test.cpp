#include "coppice/engine/arguments.h"

#include <doctest/doctest.h>

#include "coppice/engine/error.h"

using namespace coppice;
using coppice::Arguments;
using List = std::vector<std::int64_t>;

TEST_SUITE("engine/arguments") {
  TEST_CASE("each kind is read as itself; a number also from an integer, a list also from one integer") {
    const Arguments a{{"i", std::int64_t{3}}, {"d", 0.5}, {"b", true}, {"t", std::string("x")}, {"l", List{1, 2}}};
    CHECK(a.integer("i") == 3);
    CHECK(a.number("d", 0) == 0.5);
    CHECK(a.number("i", 0) == 3);
    CHECK(a.boolean("b", false));
    CHECK(a.text("t", "") == "x");
    CHECK(a.integers("l") == List{1, 2});
    CHECK(a.integers("i") == List{3});
  }

  TEST_CASE("another kind is a TypeError, a missing one a KeyError or the fallback") {
    const Arguments a{{"i", std::int64_t{1}}, {"d", 1.0}, {"b", true}, {"t", std::string("1")}, {"l", List{1}}};
    CHECK_THROWS_AS((void)a.integer("d"), TypeError);
    CHECK_THROWS_AS((void)a.integer("b"), TypeError);
    CHECK_THROWS_AS((void)a.integer("l", 5), TypeError);
    CHECK_THROWS_AS((void)a.number("t", 0), TypeError);
    CHECK_THROWS_AS((void)a.number("b", 0), TypeError);
    CHECK_THROWS_AS((void)a.boolean("i", false), TypeError);
    CHECK_THROWS_AS((void)a.text("i", ""), TypeError);
    CHECK_THROWS_AS((void)a.integers("d"), TypeError);
    CHECK_THROWS_AS((void)a.integer("x"), KeyError);
    CHECK_THROWS_AS((void)a.integers("x"), KeyError);
    CHECK(a.integer("x", 7) == 7);
    CHECK(a.integers("x", {1, 2}) == List{1, 2});
    CHECK(a.text("x", "y") == "y");
  }

  TEST_CASE("null counts as absent, but as a known name once somebody asked") {
    const Arguments a{{"n", std::monostate{}}};
    CHECK_THROWS_AS(a.reject_unread("T"), KeyError);
    CHECK_FALSE(a.has("n"));
    CHECK(a.integer("n", 4) == 4);
    CHECK_THROWS_AS((void)a.integer("n"), KeyError);
    CHECK_NOTHROW(a.reject_unread("T"));
  }

  TEST_CASE("arguments that nobody read are named") {
    const Arguments a{{"x", true}, {"y", true}, {"z", true}};
    (void)a.boolean("y", false);
    CHECK_THROWS_WITH_AS(a.reject_unread("T"), "[T] unknown arguments: 'x', 'z'", KeyError);
  }
}
