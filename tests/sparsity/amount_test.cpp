#include "coppice/sparsity/amount.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "coppice/engine/error.h"

using namespace coppice;
using sparsity::Amount;

TEST_SUITE("sparsity/amount") {
  TEST_CASE("a fraction is rounded half to even, as Python rounds") {
    struct Row {
      double fraction;
      std::int64_t units, count;
    };
    for (const auto& [part, size, count] :
         {Row{0.4, 17, 7}, {0.5, 1, 0},  {0.25, 10, 2}, {0.5, 3, 2},   {0.5, 5, 2},   {0.1, 25, 2}, {0.5, 7, 4},
          {0.3, 5, 2},     {0.7, 5, 4},  {0.35, 10, 4}, {0.15, 10, 2}, {1.0, 15, 15}, {0.25, 2, 0}, {0.9999, 10, 10},
          {0.0625, 8, 0},  {0.07, 8, 1}, {1e-9, 8, 0},  {0.0, 8, 0},   {-0.0, 8, 0},  {0.5, 0, 0},  {1.0, 0, 0}}) {
      const auto fraction = part;  // Clang 14 cannot capture a structured binding
      const auto units = size;
      CAPTURE(fraction);
      CAPTURE(units);
      CHECK(Amount(fraction).of(units) == count);
    }
  }

  TEST_CASE("1 is one unit, 1.0 is everything") {
    CHECK(Amount(1).of(15) == 1);
    CHECK(Amount(1.0).of(15) == 15);
    CHECK(Amount(1).is_count());
    CHECK_FALSE(Amount(1.0).is_count());
    CHECK(Amount(0).of(0) == 0);
    CHECK(Amount(8).of(8) == 8);
  }

  TEST_CASE_TEMPLATE("a count comes from every integer type", T, signed char, unsigned char, short, unsigned short, int,
                     unsigned, long, unsigned long, long long, unsigned long long) {
    const Amount amount = T{3};  // without a word
    CHECK(amount.is_count());
    CHECK(amount.of(10) == 3);
    CHECK(Amount(std::numeric_limits<std::int8_t>::max()).of(200) == 127);
    if constexpr (std::is_signed_v<T>) CHECK_THROWS_AS(Amount(T{-1}), ValueError);
    if constexpr (std::is_unsigned_v<T> && sizeof(T) == 8)
      CHECK_THROWS_WITH_AS(Amount(std::numeric_limits<T>::max()),
                           "[Amount] a count must be at most 9223372036854775807; got 18446744073709551615",
                           ValueError);
    else
      CHECK(to_string(Amount(std::numeric_limits<T>::max())) == std::to_string(std::numeric_limits<T>::max()));
  }

  TEST_CASE("float is a fraction, truth a count") {
    CHECK_FALSE(Amount(0.5F).is_count());
    CHECK(Amount(0.5F).of(10) == 5);
    CHECK(Amount(true).of(10) == 1);
    CHECK(Amount(false).of(10) == 0);
  }

  TEST_CASE("out of range is refused at once, more than there is when it is used") {
    for (const double bad : {-0.1, 1.0000001, -1e-300, std::nan(""), HUGE_VAL, -HUGE_VAL}) {
      CAPTURE(bad);
      CHECK_THROWS_AS(Amount{bad}, ValueError);
    }
    CHECK_THROWS_AS(Amount(-1), ValueError);
    CHECK_THROWS_WITH_AS((void)Amount(9).of(8), "[Amount] cannot prune 9 of 8 units", ValueError);
  }

  TEST_CASE("texts: a point or an exponent makes a fraction") {
    CHECK(Amount::parse("3").is_count());
    CHECK(Amount::parse("3").of(10) == 3);
    CHECK(Amount::parse("1").of(10) == 1);
    for (const char* text : {"1.0", "1.", "1e0", "1E0"}) {
      CAPTURE(text);
      CHECK_FALSE(Amount::parse(text).is_count());
      CHECK(Amount::parse(text).of(10) == 10);
    }
    CHECK(Amount::parse(".5").of(10) == 5);
    CHECK(Amount::parse("3e-1").of(10) == 3);
    CHECK(Amount::parse("0").is_count());
    for (const char* text : {"", " ", "abc", "1.5", "-1", "-0.5", "nan", "inf", "1e400", "0.5x", "3 ", " 3", "+3",
                             "0x3", "1,5", "99999999999999999999", "1e", "."}) {
      CAPTURE(text);
      CHECK_THROWS_AS((void)Amount::parse(text), ValueError);
    }
  }

  TEST_CASE("an amount as text is read back as itself") {
    for (const Amount& amount : {Amount(0), Amount(3), Amount(std::int64_t{1} << 62), Amount(0.0), Amount(1.0),
                                 Amount(0.1), Amount(1e-9), Amount(0.30000000000000004)}) {
      const std::string text = to_string(amount);
      CAPTURE(text);
      CHECK(Amount::parse(text).is_count() == amount.is_count());
      CHECK(Amount::parse(text).number() == amount.number());
      CHECK(to_string(Amount::parse(text)) == text);
    }
    CHECK(to_string(Amount((std::int64_t{1} << 53) + 1)) == "9007199254740993");
  }
}
