#include "coppice/engine/norm_order.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/engine/ops/reduce.h"

using namespace coppice;

TEST_SUITE("engine/norm_order") {
  TEST_CASE("an order from text: PyTorch's words, infinities and numbers") {
    CHECK(NormOrder("fro").word == NormOrder::Word::fro);
    CHECK(NormOrder("nuc").word == NormOrder::Word::nuc);
    CHECK(NormOrder("inf").p == HUGE_VAL);
    CHECK(NormOrder("-inf").p == -HUGE_VAL);
    CHECK(NormOrder("2").p == 2);
    CHECK(NormOrder("-1").p == -1);
    CHECK(NormOrder("0.5").p == 0.5);
    CHECK(NormOrder("1e1").p == 10);
    CHECK(std::isnan(NormOrder("nan").p));
    CHECK(NormOrder(std::string("inf")) == NormOrder(HUGE_VAL));
    CHECK(NormOrder(std::string_view("2")) == NormOrder(2));
    CHECK(NormOrder(0).p == 0);  // a literal 0 is a number, not text
    CHECK_FALSE(NormOrder("fro") == NormOrder(2));
    static_assert(!std::is_constructible_v<NormOrder, std::nullptr_t>);
  }

  TEST_CASE("text that is no order is refused, and shown") {
    for (const char* text :
         {"", " ", "2 ", " 2", "+2", "2x", "frob", "FRO", "nuclear", "infinit", "--inf", "0x2", "1,5"}) {
      CAPTURE(text);
      CHECK_THROWS_AS((void)NormOrder::parse(text), ValueError);
    }
    CHECK_THROWS_WITH_AS((void)NormOrder("frob"), "[NormOrder] must be a number, inf, -inf, fro or nuc; got 'frob'",
                         ValueError);
  }

  TEST_CASE("an order as text is read back as itself") {
    for (const NormOrder& order : {NormOrder("fro"), NormOrder("nuc"), NormOrder(HUGE_VAL), NormOrder(-HUGE_VAL),
                                   NormOrder(0), NormOrder(2), NormOrder(-0.1), NormOrder(1e300)})
      CHECK(NormOrder::parse(to_string(order)) == order);
    CHECK(to_string(NormOrder(2)) == "2");
    CHECK(to_string(NormOrder(-std::nan(""))) == "nan");
  }

  TEST_CASE("norm takes its order as text") {
    const Tensor t = Tensor::of({{3, -4}, {0, 1}});
    CHECK(norm(t, "inf").item() == 4);
    CHECK(norm(t, "-inf").item() == 0);
    CHECK(norm(t, "fro") == norm(t, 2));
    CHECK(norm(t, "0", {1}) == Tensor::of({2, 1}));
    CHECK_THROWS_AS((void)norm(t, "nuc", {1}), ValueError);
  }
}
