#pragma once
/// Arguments by name as data: of constructors of modules, under PyTorch's names, and of operations. Files hold them.

#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "coppice/engine/ordered_map.h"

namespace coppice {

using Argument = std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<std::int64_t>>;

/// Named arguments, read with their type. Every name that is read is remembered: reject_unread() then finds the
/// misspelt ones.
class Arguments {
 public:
  Arguments() = default;
  Arguments(std::initializer_list<std::pair<std::string, Argument>> entries);

  void set(std::string_view name, Argument value) { entries_.set(name, std::move(value)); }
  [[nodiscard]] bool has(std::string_view name) const;

  /// Without a fallback the argument must be there. @throws KeyError if it is missing; TypeError if it is another type
  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t fallback) const;
  [[nodiscard]] double number(std::string_view name, double fallback) const;  ///< integers count
  [[nodiscard]] bool boolean(std::string_view name, bool fallback) const;
  [[nodiscard]] std::string text(std::string_view name, std::string_view fallback) const;
  /// A list, or one number standing for a list of one.
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view name) const;
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view name, std::vector<std::int64_t> fallback) const;

  /// @throws KeyError  naming the arguments that nobody read
  void reject_unread(std::string_view type) const;

  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  /// The same names with the same values, in any order. What was read does not matter.
  friend bool operator==(const Arguments& a, const Arguments& b);

 private:
  [[nodiscard]] const Argument* look(std::string_view name) const;

  OrderedMap<Argument> entries_;
  mutable std::set<std::string, std::less<>> read_;
};

}  // namespace coppice
