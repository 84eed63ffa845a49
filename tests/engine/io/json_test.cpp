#include "coppice/engine/io/json.h"

#include <doctest/doctest.h>

#include <limits>

#include "coppice/engine/error.h"

using namespace coppice;

namespace {

/// Writes down what arrives.
class Listener final : public JsonReceiver {
 public:
  std::string heard;

 private:
  void scalar(JsonScalar value) override { say(shown(value)); }
  void key(const std::string& text) override { say(cat("key ", text, " at ", depth())); }
  void open(bool list) override { say(cat(list ? "[" : "{", depth())); }
  void close(bool list) override { say(cat(list ? "]" : "}", depth())); }
  void twice(const std::string& text) override { say(cat("again ", text)); }
  void malformed(std::uint64_t byte, const std::string& rule) override {
    throw FormatError(cat("byte ", byte, ": ", rule));
  }
  void say(const std::string& what) { heard += (heard.empty() ? "" : ", ") + what; }
};

std::string heard(std::string_view text) {
  Listener listener;
  listener.read(text);
  return listener.heard;
}

std::string complaint(std::string_view text) {
  try {
    return "taken: " + heard(text);
  } catch (const FormatError& e) {
    return e.what();
  }
}

}  // namespace

TEST_SUITE("engine/io/json") {
  TEST_CASE("events come in order, and depth() counts what is open") {
    CHECK(heard(R"( {"a": [1, -2, 1.50, true, null], "b": {"c": "d"}} )") ==
          "{0, key a at 1, [1, the number 1, the number -2, the number '1.50', a boolean, null, ]1, key b at 1, {1, "
          "key c at 2, 'd', }1, }0");
    CHECK(heard("[]") == "[0, ]0");
    CHECK(heard("7") == "the number 7");
    CHECK(heard("18446744073709551615") == "the number 18446744073709551615");
    CHECK(heard("-9223372036854775808") == "the number -9223372036854775808");
  }

  TEST_CASE("a key that its object has already is told apart, also when it is escaped; another object may have it") {
    CHECK(heard(R"({"a": 1, "\u0061": 2})") == "{0, key a at 1, the number 1, again a, the number 2, }0");
    CHECK(heard(R"([{"a": 1}, {"a": 2}])").find("again") == std::string::npos);
  }

  TEST_CASE("keys that nobody compares come as they are, and are not kept") {
    struct Loose final : JsonReceiver {
      int keys = 0;
      void scalar(JsonScalar) override {}
      void key(const std::string&) override { ++keys; }
      void open(bool) override {}
      void close(bool) override {}
      void twice(const std::string&) override { keys = -100; }
      bool compares_keys() const override { return depth() != 2; }
      void malformed(std::uint64_t, const std::string&) override {}
    } loose;
    loose.read(R"({"a": {"x": 1, "x": 2}})");
    CHECK(loose.keys == 3);
    loose.read(R"({"a": 1, "a": 2})");
    CHECK(loose.keys == -100);
  }

  TEST_CASE("what is no JSON is named with its byte") {
    CHECK(complaint("{\"a\": }").starts_with("byte 6: must be JSON: 'parse error"));
    CHECK(complaint("").starts_with("byte 0: must be JSON: "));
    CHECK(complaint("{} {}").starts_with("byte 3: must be JSON: "));
    CHECK(complaint("[1e999]").find("must be JSON") != std::string::npos);
    CHECK(complaint("[NaN]").find("must be JSON") != std::string::npos);
    CHECK(complaint("[01]").find("must be JSON") != std::string::npos);
    CHECK(complaint("[\"\xFF\"]").find("must be JSON") != std::string::npos);
    CHECK(complaint("[\"\\ud800\"]").find("must be JSON") != std::string::npos);
    CHECK(complaint(std::string_view("{}\0{}", 5)) == "byte 2: contains NUL");
    CHECK(complaint("\xEF\xBB\xBF{}") ==
          "byte 0: must begin with '{', '[' or a value; it begins with a byte order mark");
  }

  TEST_CASE("a receiver may be used again, also after a text that was wrong") {
    Listener listener;
    CHECK_THROWS_AS(listener.read("[[["), FormatError);
    listener.heard.clear();
    listener.read("{\"a\":0}");
    CHECK(listener.heard == "{0, key a at 1, the number 0, }0");
  }

  TEST_CASE("a million brackets take no stack") {
    CHECK(complaint(std::string(1'000'000, '[')).starts_with("byte 1000000: must be JSON"));
  }

  TEST_CASE("the writer puts commas where they belong") {
    JsonWriter out;
    out.open_object().key("a").open_list().close_list().key("b").open_list().value(1).value(true).open_object();
    out.close_object().close_list().key("c").value(nullptr).key("d").json("[0]").close_object();
    CHECK(out.text() == R"({"a":[],"b":[1,true,{}],"c":null,"d":[0]})");
  }

  TEST_CASE("numbers are the shortest that read back; floating ones keep their point") {
    JsonWriter out;
    out.open_list().value(0.1).value(1.0).value(-0.0).value(1e300).value(0.1f);
    out.value(std::numeric_limits<std::int64_t>::min()).value(std::numeric_limits<std::uint64_t>::max());
    CHECK(out.close_list().text() ==
          "[0.1,1.0,-0.0,1e+300,0.10000000149011612,-9223372036854775808,18446744073709551615]");
  }

  TEST_CASE("texts are escaped and come back") {
    const std::string text = "quote \" backslash \\ newline \n bell \a ümlaut 😀";
    JsonWriter out;
    out.value(text);
    struct Back final : JsonReceiver {
      std::string text;
      void scalar(JsonScalar value) override { text = std::get<std::string>(value); }
      void key(const std::string&) override {}
      void open(bool) override {}
      void close(bool) override {}
      void twice(const std::string&) override {}
      void malformed(std::uint64_t, const std::string& rule) override { throw FormatError(rule); }
    } back;
    back.read(out.text());
    CHECK(back.text == text);
  }

  TEST_CASE("what JSON does not have is refused") {
    JsonWriter out;
    CHECK_THROWS_WITH_AS(out.value("\xFF"), "[json] texts must be UTF-8; got '\\xff'", ValueError);
    CHECK_THROWS_WITH_AS(out.key("\xC0\x80"), "[json] texts must be UTF-8; got '\\xc0\\x80'", ValueError);
    CHECK_THROWS_AS(out.value(std::numeric_limits<double>::infinity()), ValueError);
    CHECK_THROWS_AS(out.value(std::numeric_limits<float>::quiet_NaN()), ValueError);
    CHECK(out.text() == "");
  }

  TEST_CASE("a scalar as text") {
    CHECK(json_text(nullptr) == "null");
    CHECK(json_text(JsonReal{2, "2e0"}) == "2.0");
    CHECK(json_text(std::string("a\"b")) == R"("a\"b")");
  }
}
