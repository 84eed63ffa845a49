#include "coppice/engine/named_function.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "coppice/engine/error.h"

using namespace coppice;

TEST_SUITE("engine/named_function") {
  TEST_CASE("a function comes back by its name and signature") {
    register_function<int(int)>("test.named.twice", [](int x) { return 2 * x; });
    CHECK(is_function("test.named.twice"));
    CHECK(registered_function<int(int)>("test.named.twice")(21) == 42);
    CHECK_THROWS_WITH_AS((void)registered_function<int(long)>("test.named.twice"),
                         "[registered_function] 'test.named.twice' takes or gives other types than are asked for",
                         TypeError);
    CHECK_THROWS_WITH_AS((void)registered_function<int(int)>("test.named.thrice"),
                         doctest::Contains("unknown function 'test.named.thrice'; known: "), KeyError);
    CHECK_THROWS_WITH_AS((void)registered_function<int(int)>("test.named.thrice"),
                         doctest::Contains("test.named.twice"), KeyError);
    const auto names = function_names();
    CHECK(std::ranges::is_sorted(names));
    CHECK(std::ranges::count(names, "test.named.twice") == 1);
  }

  TEST_CASE("a name is taken once, whatever the signature") {
    register_function<int()>("test.named.one", [] { return 1; });
    CHECK_THROWS_WITH_AS(register_function<int()>("test.named.one", [] { return 2; }),
                         "[register_function] 'test.named.one' is registered already", KeyError);
    CHECK_THROWS_AS(register_function<long()>("test.named.one", [] { return 2L; }), KeyError);
    CHECK(registered_function<int()>("test.named.one")() == 1);
  }

  TEST_CASE("names are of two lower-case parts or more; null is no function") {
    for (const char* name : {"", "plain", ".a", "a.", "a..b", "A.b", "a.b c", "a-b.c", "a.\n", ".", ".."}) {
      CAPTURE(name);
      CHECK_THROWS_AS(register_function<int()>(name, [] { return 1; }), ValueError);
      CHECK_FALSE(is_function(name));
    }
    CHECK_THROWS_WITH_AS(register_function<int()>("test.named.null", nullptr),
                         "[register_function] 'test.named.null' has no function", ValueError);
    CHECK_FALSE(is_function("test.named.null"));
    CHECK_NOTHROW(register_function<int()>("test.named.part_3.b2", [] { return 1; }));
  }
}
