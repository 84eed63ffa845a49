#pragma once
/// Strict JSON: read event by event, so that no document stands in memory that nobody asked for, and written in order.

#include "coppice/engine/cxx20.h"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

namespace coppice {

/// A number with a point or an exponent, and how it was written.
struct JsonReal {
  double value = 0;
  std::string_view text;
};

/// A value that holds no others. Whole numbers of at least 0 are unsigned, those below signed.
using JsonScalar = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, JsonReal, std::string>;

/// Receives the events of a JSON text (RFC 8259, UTF-8) in their order. What is no JSON, a NUL byte and a byte order
/// mark go to malformed(), a key that stands in its object already to twice(): derived classes say what they expect,
/// where, and throw when it is something else. Takes memory for open containers and their keys alone.
class JsonReceiver {
 public:
  virtual ~JsonReceiver() = default;
  /// Reads `text` from its beginning to its end. Whatever the functions below throw leaves through here.
  void read(std::string_view text);

 protected:
  virtual void scalar(JsonScalar value) = 0;
  /// The key of the next value.
  virtual void key(const std::string& text) = 0;
  /// An object or a list begins or ends; depth() counts it from when open() has returned until close() is called.
  virtual void open(bool list) = 0;
  virtual void close(bool list) = 0;
  /// Comes in place of key() for a key that its object has already. Returning lets it pass.
  virtual void twice(const std::string& text) = 0;
  /// Whether the keys of the innermost open object are compared, which holds them in memory; the others never come to
  /// twice(). Asked before every key.
  [[nodiscard]] virtual bool compares_keys() const { return true; }
  /// The text is wrong at `byte`, from 0. Must throw.
  /// @param rule  as the end of a sentence: "must be JSON: '…'", "contains NUL"
  virtual void malformed(std::uint64_t byte, const std::string& rule) = 0;

  /// How many objects and lists are open.
  [[nodiscard]] std::size_t depth() const { return open_.size(); }
  /// What to call a scalar in a message: null, a boolean, the number 5, the number '1.5', 'a text'.
  [[nodiscard]] static std::string shown(const JsonScalar& value);

 private:
  struct Events;
  struct Container {
    bool list;
    std::set<std::string> keys;
  };
  std::vector<Container> open_;
};

/// Writes JSON without white space, value after value. Keeps no document; keys are taken as they come.
class JsonWriter {
 public:
  JsonWriter& open_object() { return open('{'); }
  JsonWriter& close_object() { return close('}'); }
  JsonWriter& open_list() { return open('['); }
  JsonWriter& close_list() { return close(']'); }
  /// @throws ValueError  if it is not UTF-8
  JsonWriter& key(std::string_view text);
  /// @throws ValueError  if it is not UTF-8
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(std::nullptr_t) { return piece("null"); }
  /// The shortest digits that read back as the same number; a floating one keeps its point.
  /// @throws ValueError  for infinities and NaN, which JSON does not have
  template <class T>
  requires std::is_arithmetic_v<T> JsonWriter& value(T number) {
    if constexpr (std::is_same_v<T, bool>)
      return piece(number ? "true" : "false");
    else if constexpr (std::is_floating_point_v<T>)
      return real(static_cast<double>(number));
    else if constexpr (std::is_signed_v<T>)
      return whole(static_cast<std::int64_t>(number));
    else
      return whole(static_cast<std::uint64_t>(number));
  }

  /// A value that is JSON already, as it stands.
  JsonWriter& json(std::string_view text) { return piece(text); }

  [[nodiscard]] const std::string& text() const { return out_; }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& piece(std::string_view text);
  JsonWriter& real(double number);
  JsonWriter& whole(std::int64_t number);
  JsonWriter& whole(std::uint64_t number);
  void separate();

  std::string out_;
};

/// A scalar as JsonWriter writes it.
[[nodiscard]] std::string json_text(const JsonScalar& value);

}  // namespace coppice
