#include "coppice/engine/arguments.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/error.h"

using namespace coppice;
using List = std::vector<std::int64_t>;
using Reals = std::vector<double>;

namespace {

Tensor halved(const Tensor& x) {
  Tensor out = x.clone();
  return out.mul_(0.5);
}

/// One of each kind.
Arguments every_kind() {
  return {{"nothing", std::monostate{}},
          {"bool", true},
          {"integer", std::int64_t{-3}},
          {"number", 0.5},
          {"text", std::string("x")},
          {"integers", List{1, 2}},
          {"numbers", Reals{0.5, 2}},
          {"tensor", Tensor::of({1, 2})},
          {"map", Arguments{{"a", std::int64_t{1}}, {"deeper", Arguments{{"t", Tensor::of(7)}}}}},
          {"function", NamedFunction{"test.arguments.halved"}}};
}

}  // namespace

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

  TEST_CASE("a list of numbers comes from integers and from one number; an empty list is of both") {
    const Arguments a{{"i", List{1, 2}},          {"d", Reals{0.5}}, {"one", 0.25},
                      {"whole", std::int64_t{3}}, {"no", Reals{}},   {"none", List{}}};
    CHECK(a.numbers("i") == Reals{1, 2});
    CHECK(a.numbers("d") == Reals{0.5});
    CHECK(a.numbers("one") == Reals{0.25});
    CHECK(a.numbers("whole") == Reals{3});
    CHECK(a.numbers("none").empty());
    CHECK(a.integers("no").empty());
    CHECK(a.numbers("x", {1, 0.5}) == Reals{1, 0.5});
    CHECK_THROWS_WITH_AS((void)a.integers("d"),
                         "[Arguments] 'd' must be an integer or a list of integers; got a list of numbers", TypeError);
  }

  TEST_CASE("every kind but the wanted one is refused by name, wanted and found kind") {
    const Arguments a = every_kind();
    CHECK_THROWS_WITH_AS((void)a.numbers("text"),
                         "[Arguments] 'text' must be a number or a list of numbers; got a text", TypeError);
    CHECK_THROWS_WITH_AS((void)a.tensor("map"), "[Arguments] 'map' must be a tensor; got a map", TypeError);
    CHECK_THROWS_WITH_AS((void)a.map("tensor"), "[Arguments] 'tensor' must be a map; got a tensor", TypeError);
    CHECK_THROWS_WITH_AS((void)a.function_name("numbers"),
                         "[Arguments] 'numbers' must be a function; got a list of numbers", TypeError);
    CHECK_THROWS_WITH_AS((void)a.text("function"), "[Arguments] 'function' must be a text; got a function", TypeError);
    for (const auto& [name, value] : a) {
      const auto& key = name;  // Clang 14 cannot capture a structured binding
      CAPTURE(key);
      const auto refused = [&](const char* own, auto read) {
        if (key == own)
          CHECK_NOTHROW((void)read());
        else if (key == "nothing")
          CHECK_THROWS_AS((void)read(), KeyError);
        else
          CHECK_THROWS_AS((void)read(), TypeError);
      };
      refused("bool", [&] { return a.boolean(key); });
      refused("integer", [&] { return a.integer(key); });
      refused("text", [&] { return a.text(key); });
      refused("tensor", [&] { return a.tensor(key); });
      refused("map", [&] { return a.map(key); });
      refused("function", [&] { return a.function_name(key); });
      if (key != "integer") refused("number", [&] { return a.number(key); });
    }
  }

  TEST_CASE("a missing name lists what is there, the first twenty") {
    CHECK_THROWS_WITH_AS((void)Arguments().tensor("x"), "[Arguments] 'x' is missing; there is nothing", KeyError);
    const Arguments a{{"b", true}, {"n", std::monostate{}}, {"a", 0.5}};
    CHECK_THROWS_WITH_AS((void)a.map("x"), "[Arguments] 'x' is missing; there is 'b', 'a'", KeyError);
    Arguments many;
    for (int i = 0; i < 1000; ++i) many.set(cat("k", i), true);
    CHECK_THROWS_WITH_AS((void)many.text("x"), doctest::Contains("'k19' and 980 more"), KeyError);
  }

  TEST_CASE("a tensor is shared, an undefined one is nothing") {
    const Tensor t = Tensor::of({1, 2});
    Arguments a{{"t", t}, {"undefined", Tensor()}};
    const Arguments copy = a;
    CHECK(a.tensor("t").is(t));
    CHECK(copy.tensor("t").is(t));
    CHECK_FALSE(a.has("undefined"));
    CHECK(a == Arguments{{"t", t}, {"undefined", std::monostate{}}});
  }

  TEST_CASE("clone() copies tensors, those within maps too, out of any graph") {
    const Tensor w = ones({2}).requires_grad_();
    const Tensor inner = Tensor::of({3});
    const Arguments a{{"w", w}, {"map", Arguments{{"inner", inner}}}, {"i", List{1}}};
    const Arguments b = a.clone();
    CHECK(b == a);
    CHECK_FALSE(b.tensor("w").requires_grad());
    CHECK_FALSE(b.tensor("w").shares_storage(w));
    CHECK_FALSE(b.map("map").tensor("inner").shares_storage(inner));
    b.map("map").tensor("inner").zero_();
    CHECK(inner == Tensor::of({3}));
    CHECK_FALSE(b == a);
  }

  TEST_CASE("equal by value: whole and real numbers, lists, tensors, maps in any order") {
    CHECK(every_kind() == every_kind());
    CHECK(Arguments{{"x", std::int64_t{1}}} == Arguments{{"x", 1.0}});
    CHECK_FALSE(Arguments{{"x", std::int64_t{1}}} == Arguments{{"x", 1.5}});
    CHECK_FALSE(Arguments{{"x", std::int64_t{1}}} == Arguments{{"x", true}});
    // 2^53 + 1 and 2^63 - 1, which no double is.
    CHECK_FALSE(Arguments{{"x", std::int64_t{9007199254740993}}} == Arguments{{"x", 9007199254740992.0}});
    CHECK_FALSE(Arguments{{"x", std::numeric_limits<std::int64_t>::max()}} == Arguments{{"x", 0x1p63}});
    CHECK_FALSE(Arguments{{"x", std::int64_t{0}}} == Arguments{{"x", std::nan("")}});
    CHECK(Arguments{{"x", List{1, 2}}} == Arguments{{"x", Reals{1, 2}}});
    CHECK(Arguments{{"x", Reals{}}} == Arguments{{"x", List{}}});
    CHECK_FALSE(Arguments{{"x", List{1}}} == Arguments{{"x", std::int64_t{1}}});
    CHECK(Arguments{{"x", Arguments{{"a", true}, {"b", 0.5}}}} == Arguments{{"x", Arguments{{"b", 0.5}, {"a", true}}}});
    CHECK_FALSE(Arguments{{"x", Arguments{{"a", true}}}} == Arguments{{"x", Arguments{}}});
    CHECK_FALSE(Arguments{{"x", Tensor::of({1})}} == Arguments{{"x", Tensor::of({2})}});
    CHECK_FALSE(Arguments{{"x", Tensor::of({1})}} == Arguments{{"x", Tensor::of({1}).to(Dtype::f64)}});
    CHECK_FALSE(Arguments{{"x", NamedFunction{"a.b"}}} == Arguments{{"x", NamedFunction{"a.c"}}});
    CHECK_FALSE(Arguments{{"x", NamedFunction{"a.b"}}} == Arguments{{"x", std::string("a.b")}});
  }

  TEST_CASE("the order is kept, and replacing keeps the place") {
    Arguments a{{"z", true}, {"a", std::int64_t{1}}};
    a.set("m", Reals{0.5});
    a.set("z", Arguments{});
    std::string names;
    for (const auto& [name, value] : a) names += name;
    CHECK(names == "zam");
    CHECK(a.size() == 3);
  }

  TEST_CASE("printed as PyTorch shows settings, with strangers' texts made harmless") {
    CHECK(to_string(every_kind()) ==
          "{'nothing': None, 'bool': True, 'integer': -3, 'number': 0.5, 'text': 'x', 'integers': (1, 2), "
          "'numbers': (0.5, 2), 'tensor': tensor(float32 (2,)), "
          "'map': {'a': 1, 'deeper': {'t': tensor(float32 ())}}, 'function': function 'test.arguments.halved'}");
    CHECK(to_string(Argument(List{3})) == "3");
    CHECK(to_string(Argument(Reals{3})) == "(3)");
    CHECK(to_string(Argument(List{})) == "()");
    CHECK(to_string(Arguments{{"\x1b[2J", NamedFunction{"\n"}}}) == "{'\\x1b[2J': function '\\x0a'}");
  }

  TEST_CASE("a function is read by its signature") {
    if (!is_function("test.arguments.halved"))
      register_function<Tensor(const Tensor&)>("test.arguments.halved", halved);
    const Arguments a = every_kind();
    CHECK(a.function_name("function") == "test.arguments.halved");
    CHECK(a.function<Tensor(const Tensor&)>("function")(Tensor::of({2, 4})) == Tensor::of({1, 2}));
    CHECK_THROWS_AS((void)a.function<Tensor(Tensor)>("function"), TypeError);
    const Arguments unknown{{"f", NamedFunction{"test.arguments.nobody"}}};
    CHECK_THROWS_AS((void)unknown.function<Tensor(const Tensor&)>("f"), KeyError);
    CHECK_THROWS_AS((void)a.function<Tensor(const Tensor&)>("text"), TypeError);
    CHECK_THROWS_AS((void)a.function<Tensor(const Tensor&)>("no"), KeyError);
  }

  TEST_CASE("what was read of a map is the map's own affair") {
    const Arguments a{{"map", Arguments{{"x", true}, {"y", true}}}};
    CHECK_THROWS_WITH_AS(a.reject_unread("T"), "[T] unknown arguments: 'map'", KeyError);
    (void)a.map("map").boolean("x");
    CHECK_NOTHROW(a.reject_unread("T"));
    CHECK_THROWS_WITH_AS(a.map("map").reject_unread("T.map"), "[T.map] unknown arguments: 'y'", KeyError);
  }
}
