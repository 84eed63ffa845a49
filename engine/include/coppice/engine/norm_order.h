#pragma once
/// Which norm: a number, or one of PyTorch's words.

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

namespace coppice {

namespace detail {
template <class T>
concept OrderText = std::convertible_to<const T&, std::string_view> && !std::same_as<T, std::nullptr_t>;
}

/// Order of a norm: a number (any, with ±infinity and 0), or one of PyTorch's words. From text as well, so that
/// ln_structured(m, "weight", 1, "fro", 0) reads as in PyTorch.
struct NormOrder {
  enum class Word { none, fro, nuc };
  double p = 2;
  Word word = Word::none;
  NormOrder(double order) : p(order) {}  // NOLINT: implicit, so that norm(t, 2) reads well
  NormOrder(Word w) : word(w) {}         // NOLINT
  /// @throws ValueError  as parse()
  template <detail::OrderText Text>
  NormOrder(const Text& text) : NormOrder(parse(text)) {}  // NOLINT

  /// "fro", "nuc", "inf", "-inf", "nan", or a number such as "2", "-1", "0.5", "1e1".
  /// @throws ValueError  for anything else
  [[nodiscard]] static NormOrder parse(std::string_view text);

  /// Equal words, or equal numbers (NaN equals nothing).
  friend bool operator==(const NormOrder& a, const NormOrder& b) {
    return a.word == b.word && (a.word != Word::none || a.p == b.p);
  }
};

/// As parse() takes it.
[[nodiscard]] std::string to_string(const NormOrder& order);

}  // namespace coppice
