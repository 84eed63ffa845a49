#include "coppice/engine/arguments.h"

#include <algorithm>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"

namespace coppice {
namespace {

constexpr const char* kKinds[] = {"nothing", "a bool", "an integer", "a number", "a text", "a list of integers"};

[[noreturn]] void wrong_kind(std::string_view name, const char* wanted, const Argument& found) {
  throw TypeError(cat("[Arguments] '", name, "' must be ", wanted, "; got ", kKinds[found.index()]));
}

[[noreturn]] void missing(std::string_view name) { throw KeyError(cat("[Arguments] '", name, "' is missing")); }

}  // namespace

Arguments::Arguments(std::initializer_list<std::pair<std::string, Argument>> entries) {
  for (const auto& [name, value] : entries) entries_.set(name, value);
}

bool operator==(const Arguments& a, const Arguments& b) {
  return a.entries_.size() == b.entries_.size() && std::ranges::all_of(a.entries_, [&](const auto& entry) {
           const Argument* other = b.entries_.find(entry.first);
           return other != nullptr && *other == entry.second;
         });
}

bool Arguments::has(std::string_view name) const { return look(name) != nullptr; }

const Argument* Arguments::look(std::string_view name) const {
  read_.emplace(name);
  const Argument* found = entries_.find(name);
  return found == nullptr || std::holds_alternative<std::monostate>(*found) ? nullptr : found;
}

std::int64_t Arguments::integer(std::string_view name) const {
  const Argument* found = look(name);
  if (found == nullptr) missing(name);
  if (const auto* value = std::get_if<std::int64_t>(found)) return *value;
  wrong_kind(name, "an integer", *found);
}

std::int64_t Arguments::integer(std::string_view name, std::int64_t fallback) const {
  return has(name) ? integer(name) : fallback;
}

double Arguments::number(std::string_view name, double fallback) const {
  const Argument* found = look(name);
  if (found == nullptr) return fallback;
  if (const auto* value = std::get_if<double>(found)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(found)) return static_cast<double>(*value);
  wrong_kind(name, "a number", *found);
}

bool Arguments::boolean(std::string_view name, bool fallback) const {
  const Argument* found = look(name);
  if (found == nullptr) return fallback;
  if (const auto* value = std::get_if<bool>(found)) return *value;
  wrong_kind(name, "a bool", *found);
}

std::string Arguments::text(std::string_view name, std::string_view fallback) const {
  const Argument* found = look(name);
  if (found == nullptr) return std::string(fallback);
  if (const auto* value = std::get_if<std::string>(found)) return *value;
  wrong_kind(name, "a text", *found);
}

std::vector<std::int64_t> Arguments::integers(std::string_view name) const {
  const Argument* found = look(name);
  if (found == nullptr) missing(name);
  if (const auto* value = std::get_if<std::vector<std::int64_t>>(found)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(found)) return {*value};
  wrong_kind(name, "an integer or a list of integers", *found);
}

std::vector<std::int64_t> Arguments::integers(std::string_view name, std::vector<std::int64_t> fallback) const {
  return has(name) ? integers(name) : std::move(fallback);
}

void Arguments::reject_unread(std::string_view type) const {
  constexpr std::size_t kShown = 20;  // a file may hold a thousand
  std::string names;
  std::size_t unread = 0;
  for (const auto& [name, value] : entries_)
    if (!read_.contains(name) && ++unread <= kShown) names += (names.empty() ? "" : ", ") + quote(name);
  if (unread > kShown) names += cat(" and ", unread - kShown, " more");
  if (!names.empty()) throw KeyError(cat("[", type, "] unknown arguments: ", names));
}

}  // namespace coppice
