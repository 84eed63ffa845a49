#include <nlohmann/json.hpp>
#include <utility>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/json.h"

namespace coppice {
namespace {

/// The library's words without its own tag and what it had read last.
std::string reason_of(std::string_view what) {
  if (const auto bracket = what.find("] "); bracket != what.npos) what.remove_prefix(bracket + 2);
  return quote(what.substr(0, what.find("; last read")));
}

}  // namespace

/// The names and signatures are those of nlohmann::json_sax.
struct JsonReceiver::Events {
  JsonReceiver& to;

  bool null() { return scalar(nullptr); }
  bool boolean(bool value) { return scalar(value); }
  bool number_integer(std::int64_t value) { return scalar(value); }
  bool number_unsigned(std::uint64_t value) { return scalar(value); }
  bool number_float(double value, const std::string& text) { return scalar(JsonReal{value, text}); }
  bool string(std::string& text) { return scalar(std::move(text)); }
  bool binary(std::vector<std::uint8_t>&) { return false; }  // not in JSON
  bool key(std::string& text) {
    if (!to.compares_keys() || to.open_.back().keys.insert(text).second)
      to.key(text);
    else
      to.twice(text);
    return true;
  }
  bool start_object(std::size_t) { return open(false); }
  bool start_array(std::size_t) { return open(true); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  /// The library counts the byte that it stopped at from 1.
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) {
    to.malformed(position == 0 ? 0 : position - 1, "must be JSON: " + reason_of(error.what()));
    return false;
  }

 private:
  bool scalar(JsonScalar value) {
    to.scalar(std::move(value));
    return true;
  }
  bool open(bool list) {
    to.open(list);
    to.open_.push_back({list, {}});
    return true;
  }
  bool close() {
    const bool list = to.open_.back().list;
    to.open_.pop_back();
    to.close(list);
    return true;
  }
};

void JsonReceiver::read(std::string_view text) {
  open_.clear();
  // The parser would take NUL for the end of the text, and skip a byte order mark.
  if (const auto nul = text.find('\0'); nul != text.npos) malformed(nul, "contains NUL");
  if (text.starts_with("\xEF\xBB\xBF"))
    malformed(0, "must begin with '{', '[' or a value; it begins with a byte order mark");
  Events events{*this};
  (void)nlohmann::json::sax_parse(text.begin(), text.end(), &events);
}

std::string JsonReceiver::shown(const JsonScalar& value) {
  return std::visit(
      []<class T>(const T& v) -> std::string {
        if constexpr (std::is_same_v<T, std::nullptr_t>)
          return "null";
        else if constexpr (std::is_same_v<T, bool>)
          return "a boolean";
        else if constexpr (std::is_same_v<T, JsonReal>)
          return cat("the number ", quote(v.text));
        else if constexpr (std::is_same_v<T, std::string>)
          return quote(v);
        else
          return cat("the number ", v);
      },
      value);
}

}  // namespace coppice
