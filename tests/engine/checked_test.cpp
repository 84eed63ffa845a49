#include "coppice/engine/checked.h"

#include <array>

#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace std::string_view_literals;

TEST_SUITE("engine/checked") {
  TEST_CASE("sums and products that do not fit are nothing") {
    CHECK(checked_add(1, 2) == 3);
    CHECK(!checked_add(UINT64_MAX, 1));
    CHECK(checked_mul(1u << 31, 4) == std::uint64_t{1} << 33);
    CHECK(!checked_mul(std::uint64_t{1} << 32, std::uint64_t{1} << 32));
  }

  TEST_CASE("checked_volume cannot be led to 0 by wrapping or by an empty axis") {
    const auto volume = [](std::vector<std::uint64_t> sizes, std::uint64_t unit) {
      return checked_volume(sizes, unit);
    };
    CHECK(volume({}, 4) == 4);
    CHECK(volume({2, 3}, 8) == 48);
    CHECK(volume({0, 3}, 8) == 0);
    CHECK(!volume({std::uint64_t{1} << 32, std::uint64_t{1} << 32}, 1));
    CHECK(!volume({std::uint64_t{1} << 40, 0, std::uint64_t{1} << 40}, 1));
    CHECK(!volume({std::uint64_t{1} << 62}, 2));  // 2^63 is one more than a signed size holds
  }

  TEST_CASE("is_utf8 refuses overlong forms, surrogates, what is cut and what is beyond U+10FFFF") {
    for (const auto good :
         {""sv, "a"sv, "\xC3\xB6"sv, "\xE2\x82\xAC"sv, "\xF0\x9F\x8C\xB3"sv, "\xF4\x8F\xBF\xBF"sv, "\0"sv}) {
      CAPTURE(quote(good));
      CHECK(is_utf8(good));
    }
    for (const auto bad :
         {"\x80"sv, "\xC0\x80"sv, "\xC1\xBF"sv, "\xE0\x9F\xBF"sv, "\xED\xA0\x80"sv, "\xF0\x8F\xBF\xBF"sv,
          "\xF4\x90\x80\x80"sv, "\xC3"sv, "\xE2\x82"sv, "\xF0\x9F\x8C"sv, "\xFF"sv, "a\xC3z"sv}) {
      CAPTURE(quote(bad));
      CHECK(!is_utf8(bad));
    }
  }

  TEST_CASE("printable shows the same, whole and with its newlines") {
    CHECK(printable("a\x1B[2J\n\u202Eb\xFF gr\u00f6\u00dfe\t"sv) ==
          "a\\x1b[2J\n\\xe2\\x80\\xaeb\\xff gr\u00f6\u00dfe\\x09");
    CHECK(printable(std::string(300, 'x')) == std::string(300, 'x'));
  }

  TEST_CASE("quote shows what a terminal would act on and cuts what is long") {
    CHECK(quote("gr\u00f6\u00dfe") == "'gr\u00f6\u00dfe'");
    CHECK(quote("a\x1B[2J\n"sv) == "'a\\x1b[2J\\x0a'");
    CHECK(quote("\u202Eabc") == "'\\xe2\\x80\\xaeabc'");
    CHECK(quote("\u0085") == "'\\xc2\\x85'");
    CHECK(quote("\xFF") == "'\\xff'");
    CHECK(quote(std::string(1000, 'x')).size() < 140);
    // The end of a path is what tells it from others.
    const std::string path = std::string(1000, 'x') + "/\x1B.pt";
    CHECK(quote_path(path) == "'" + std::string(1000, 'x') + "/\\x1b.pt'");
    CHECK(Source{"op", path}.prefix() == "[op] " + quote_path(path) + ": ");
    CHECK(Source{"op", path}.at(3) == "[op] " + quote_path(path) + ", byte 3: ");
  }

  TEST_CASE("ByteReader reads little-endian numbers and stops at the end") {
    const std::array<unsigned char, 15> raw{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const Source source{"op", "file.bin"};
    ByteReader reader(std::as_bytes(std::span(raw)), source, 100);
    CHECK(reader.u8("x") == 1);
    CHECK(reader.u16("x") == 0x0302);
    CHECK(reader.u32("x") == 0x07060504);
    CHECK(reader.position() == 107);
    CHECK(reader.u64("x") == 0x0F0E0D0C0B0A0908);
    CHECK(reader.remaining() == 0);
    CHECK(outcome([&] { return reader.u16("the size"); }) ==
          "FormatError: [op] 'file.bin', byte 115: the size needs 2 bytes; 0 are left");
    CHECK(outcome([&] { return reader.bytes(UINT64_MAX, "data").size(); }).starts_with("FormatError"));
  }

  TEST_CASE("ByteReader reads lines without their newline") {
    const Source source{"op", "f"};
    const auto text = "ab\n\ncd"sv;
    ByteReader reader(std::as_bytes(std::span(text)), source);
    CHECK(reader.line("x") == "ab");
    CHECK(reader.line("x").empty());
    CHECK(outcome([&] { return reader.line("a name"); }).find("a name must end in a newline") != std::string::npos);
  }
}
