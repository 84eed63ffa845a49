#pragma once
/// Arguments by name as data: of constructors of modules, under PyTorch's names, of operations and of settings. Files
/// hold them.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "coppice/engine/named_function.h"
#include "coppice/engine/ordered_map.h"
#include "coppice/engine/tensor.h"

namespace coppice {

struct Argument;

/// Named arguments in the order in which they were set, read with their type. Every name that is read is remembered:
/// reject_unread() then finds the misspelt ones. (So reading writes: one thread at a time. What a module computes with
/// it takes out in its constructor.) Copying shares tensors; clone() does not.
///
/// Of the readers, those without a fallback throw a KeyError for a name that is missing, which lists what is there and
/// says which is nearly it, and all throw a TypeError for an argument of another kind. What is nothing (std::monostate)
/// counts as missing.
class Arguments {
 public:
  using Entry = std::pair<std::string, Argument>;

  Arguments() = default;
  Arguments(std::initializer_list<Entry> entries);

  /// Sets one; a name that is there keeps its place. An undefined tensor becomes nothing.
  void set(std::string_view name, Argument value);
  [[nodiscard]] bool has(std::string_view name) const;
  /// The argument of any kind; nullptr if it is missing. Valid until the next change.
  [[nodiscard]] const Argument* find(std::string_view name) const;

  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t fallback) const;
  [[nodiscard]] double number(std::string_view name) const;  ///< integers count
  [[nodiscard]] double number(std::string_view name, double fallback) const;
  [[nodiscard]] bool boolean(std::string_view name) const;
  [[nodiscard]] bool boolean(std::string_view name, bool fallback) const;
  [[nodiscard]] std::string text(std::string_view name) const;
  [[nodiscard]] std::string text(std::string_view name, std::string_view fallback) const;
  /// A list, or one number standing for a list of one. An empty list is one of integers and of numbers.
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view name) const;
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view name, std::vector<std::int64_t> fallback) const;
  [[nodiscard]] std::vector<double> numbers(std::string_view name) const;  ///< integers count
  [[nodiscard]] std::vector<double> numbers(std::string_view name, std::vector<double> fallback) const;
  /// The same tensor as in the argument, not a copy.
  [[nodiscard]] Tensor tensor(std::string_view name) const;
  /// Arguments within the argument, which remember for themselves what was read. Valid until the next change.
  [[nodiscard]] const Arguments& map(std::string_view name) const;
  /// The function whose name the argument holds. @throws KeyError  if no such function is registered; TypeError  if it
  /// has another signature
  template <class Signature>
  [[nodiscard]] std::function<Signature> function(std::string_view name) const {
    return registered_function<Signature>(function_name(name));
  }
  [[nodiscard]] const std::string& function_name(std::string_view name) const;

  /// @throws KeyError  naming the arguments that nobody read, with the nearest names that somebody asked for in vain;
  ///         those within a map are its own affair
  void reject_unread(std::string_view type) const;

  /// The same with tensors of its own, outside any graph.
  [[nodiscard]] Arguments clone() const;

  [[nodiscard]] std::vector<Entry>::const_iterator begin() const;
  [[nodiscard]] std::vector<Entry>::const_iterator end() const;
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] bool empty() const { return size() == 0; }
  /// The same names with equal values, in any order. What was read does not matter.
  friend bool operator==(const Arguments& a, const Arguments& b);

 private:
  [[nodiscard]] const Argument& need(std::string_view name) const;

  OrderedMap<Argument> entries_;
  mutable std::set<std::string, std::less<>> read_;
};

using ArgumentKinds = std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                                   std::vector<double>, Tensor, Arguments, NamedFunction>;

/// One value. A list is of integers or of numbers, not of both; what holds other things, or lists, is a map.
struct Argument : ArgumentKinds {
  using ArgumentKinds::ArgumentKinds;
};

/// By value: 1 and 1.0 are equal, and so are lists; tensors are if shape, type and values agree.
[[nodiscard]] bool operator==(const Argument& a, const Argument& b);

/// As PyTorch shows a setting: None, True, 0.5, 'text', (1, 2); a list of one integer as that integer. Tensors by type
/// and shape.
[[nodiscard]] std::string to_string(const Argument& value);
/// "{'a': 1, 'b': None}"
[[nodiscard]] std::string to_string(const Arguments& arguments);

}  // namespace coppice
