#pragma once
/// Error categories and the builder of their messages.
///
/// Every failure that a caller can cause or meet is one of these classes. Messages open with the operation in
/// brackets, behind the layer's place where one was running, show the values (both shapes), and name the rule that was
/// broken.

#include "coppice/engine/cxx20.h"

#include <charconv>
#include <concepts>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace coppice {

/// Root of all errors thrown by the three libraries.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
  [[nodiscard]] const char* what() const noexcept override {
    return placed_ ? placed_->c_str() : runtime_error::what();
  }
  /// Puts a place before the message, such as "in 'features.3' (Conv2d): ". For a handler that rethrows the error as it
  /// is, of the same type.
  void set_place(std::string_view where) {
    placed_ = std::make_shared<const std::string>(std::string(where) + runtime_error::what());
  }
  [[nodiscard]] bool has_place() const noexcept { return placed_ != nullptr; }

 private:
  std::shared_ptr<const std::string> placed_;  // shared: copies of exceptions must not throw
};

struct ValueError : Error {
  using Error::Error;
};  ///< a value outside its range
struct ShapeError : ValueError {
  using ValueError::ValueError;
};  ///< shapes that do not fit together
struct TypeError : Error {
  using Error::Error;
};  ///< the wrong kind of thing
struct DtypeError : TypeError {
  using TypeError::TypeError;
};  ///< the wrong element type
struct IndexError : Error {
  using Error::Error;
};  ///< an axis or position that does not exist
struct KeyError : Error {
  using Error::Error;
};  ///< a name that does not exist, or exists already
struct StateError : Error {
  using Error::Error;
};  ///< the right call at the wrong moment
struct FormatError : Error {
  using Error::Error;
};  ///< a bad file: names file, place, rule and found value
struct LimitError : Error {
  using Error::Error;
};  ///< a limit of the caller was exceeded
struct IoError : Error {
  using Error::Error;
};  ///< the operating system refused
struct NotSupported : Error {
  using Error::Error;
};  ///< valid, but outside what this version does

namespace detail {

inline void append(std::string& out, std::string_view text) { out += text; }
inline void append(std::string& out, const char* text) { out += text; }
inline void append(std::string& out, char c) { out += c; }
inline void append(std::string& out, bool value) { out += value ? "true" : "false"; }

/// Shortest text that reads back as the same number, whatever the locale.
template <class Number>
requires std::is_arithmetic_v<Number>
void append(std::string& out, Number value) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
  out.append(buffer, end.ptr);
}

template <class T>
requires(!std::is_arithmetic_v<T> && !std::is_convertible_v<const T&, std::string_view>) && requires(const T& value) {
  to_string(value);
}
void append(std::string& out, const T& value) {
  out += to_string(value);  // found by argument-dependent lookup: Shape, Dtype, Tensor …
}

/// What a message can be made of.
template <class T>
concept HasText = requires(std::string& out, const T& value) {
  append(out, value);
};

}  // namespace detail

/// The arguments' texts joined without separators: texts, numbers, and what has a to_string(). A list of tensors is
/// joined to a tensor by the `cat` of ops/shape_ops.h.
template <detail::HasText... Args>
[[nodiscard]] std::string cat(const Args&... args) {
  std::string out;
  (detail::append(out, args), ...);
  return out;
}

}  // namespace coppice
