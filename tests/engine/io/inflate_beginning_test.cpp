/// Beginnings of deflated data against what libdeflate inflates.

#include "../../../engine/src/io/zip/inflate_beginning.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>

#include "hostile/build.h"
#include "support/repeats.h"

using namespace coppice;
using namespace coppice::test;
using namespace std::string_literals;

namespace {

std::optional<std::string> beginning(const std::string& deflated, std::size_t most) {
  const auto out = inflate_beginning(std::as_bytes(std::span(deflated)), most);
  if (!out) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(out->data()), out->size());
}

/// Letters of which some are frequent, and repeats of what came before.
std::string some_text(std::mt19937& random, std::size_t size, unsigned letters) {
  std::string out;
  while (out.size() < size) {
    if (out.size() > 10 && random() % 8 == 0) {
      const std::size_t from = random() % out.size(), count = std::min<std::size_t>(random() % 300, out.size() - from);
      out += out.substr(from, count);
    } else {
      out += static_cast<char>(std::min(random() % letters, random() % letters));
    }
  }
  return out.substr(0, size);
}

}  // namespace

TEST_SUITE("engine/io/inflate_beginning") {
  TEST_CASE("the beginning of what was deflated, of every length") {
    std::mt19937 random(5);
    for (int i = 0; i < repeats(200, 5'000); ++i) {
      CAPTURE(i);
      const std::string text = some_text(random, random() % 40'000, 1 + random() % 256);
      const std::string packed = deflated(text);
      CHECK(beginning(packed, text.size() + 1) == text);
      const std::size_t most = random() % (text.size() + 1);
      CHECK(beginning(packed, most) == text.substr(0, most));
    }
  }

  TEST_CASE("stored, fixed and empty blocks") {
    CHECK(beginning("\1\3\0\xFC\xFF"s + "abc", 10) == "abc");
    CHECK(beginning("\0\1\0\xFE\xFF"s + "a" + "\1\2\0\xFD\xFF"s + "bc", 10) == "abc");
    CHECK(beginning("\0\1\0\xFE\xFF"s + "a" + "\1\2\0\xFD\xFF"s + "bc", 2) == "ab");
    CHECK(beginning("\x4B\x4C\x4A\x06\x00"s, 10) == "abc");  // fixed
    CHECK(beginning("\x03\x00"s, 10) == "");
    CHECK(beginning("", 0) == "");
  }

  TEST_CASE("damage up to what is wanted is refused, and nothing behind it is looked at") {
    for (const std::string& bad : {""s, "\7"s, "\1"s, "\1\3\0\0\0abc"s, "\1\3\0\xFC\xFF"s + "ab", "\x4B\x4C"s,
                                   "\x03\x02"s,            // a repeat of what is not there
                                   "\5\xFF\xFF\xFF\xFF"s,  // lengths of codes that are too many
                                   std::string("\5\0\0", 3)})
      CHECK_FALSE(beginning(bad, 10).has_value());
    CHECK(beginning("\1\3\0\xFC\xFF"s + "ab", 2) == "ab");
    CHECK(beginning("\0\1\0\xFE\xFF"s + "a\7damage", 1) == "a");
  }

  TEST_CASE("any bytes end, with at most what is wanted") {
    std::mt19937 random(7);
    for (int i = 0; i < repeats(2'000, 100'000); ++i) {
      std::string bytes =
          i % 2 == 0 ? deflated(some_text(random, random() % 500, 8)) : std::string(random() % 300, '\0');
      for (int j = 0; j < (i % 2 == 0 ? 2 : 1000) && !bytes.empty(); ++j)
        bytes[random() % bytes.size()] = static_cast<char>(random());
      const auto out = beginning(bytes, 300);
      CHECK((!out || out->size() <= 300));
    }
  }
}
