#pragma once
// JSON from strangers: no key twice, bounded depth and number of values, errors with the file and the byte. Private to
// nn.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "coppice/engine/io/limits.h"

namespace coppice::nn {

/// A JSON value that takes no memory when it goes. The destructor of the library's own does, to avoid recursion, and
/// would end the process if there were none.
class JsonDocument {
 public:
  JsonDocument() = default;
  JsonDocument(JsonDocument&& other) noexcept { value_.swap(other.value_); }
  JsonDocument& operator=(JsonDocument&&) = delete;
  ~JsonDocument() { take_apart(value_); }

  [[nodiscard]] nlohmann::ordered_json& operator*() { return value_; }
  [[nodiscard]] const nlohmann::ordered_json& operator*() const { return value_; }

  /// Empties `value` without taking memory. Its depth must be bounded.
  static void take_apart(nlohmann::ordered_json& value) noexcept;

 private:
  nlohmann::ordered_json value_;
};

/// @param source  file or place, for messages
/// @throws FormatError  naming source, byte and rule; LimitError  beyond Limits::nesting levels (1000 at most),
///         Limits::objects values, or 1000 keys in an object
[[nodiscard]] JsonDocument parse_strict(std::string_view text, const std::string& source, const Limits& limits);

}  // namespace coppice::nn
