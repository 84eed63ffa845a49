#include "coppice/engine/arguments.h"

#include <algorithm>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/engine/nearest.h"

namespace coppice {
namespace {

constexpr std::size_t kShown = 20;  // names in a message: a file may hold a thousand

constexpr const char* kKinds[] = {
    "nothing",           "a bool",   "an integer", "a number",  "a text", "a list of integers",
    "a list of numbers", "a tensor", "a map",      "a function"};
static_assert(std::size(kKinds) == std::variant_size_v<ArgumentKinds>);

[[noreturn]] void wrong_kind(std::string_view name, const char* wanted, const Argument& found) {
  throw TypeError(cat("[Arguments] ", quote(name), " must be ", wanted, "; got ", kKinds[found.index()]));
}

/// `value` as a T. @throws TypeError
template <class T>
const T& as(std::string_view name, const char* wanted, const Argument& value) {
  if (const auto* held = std::get_if<T>(&value)) return *held;
  wrong_kind(name, wanted, value);
}

/// The quoted names, the first of many.
class NameList {
 public:
  void add(std::string_view name) {
    if (++count_ <= kShown) text_ += (text_.empty() ? "" : ", ") + quote(name);
  }
  [[nodiscard]] std::string text() const {
    return count_ <= kShown ? text_ : cat(text_, " and ", count_ - kShown, " more");
  }

 private:
  std::size_t count_ = 0;
  std::string text_;
};

double as_number(std::string_view name, const Argument& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  return as<double>(name, "a number", value);
}

}  // namespace

Arguments::Arguments(std::initializer_list<Entry> entries) {
  for (const auto& [name, value] : entries) set(name, value);
}

void Arguments::set(std::string_view name, Argument value) {
  if (const auto* tensor = std::get_if<Tensor>(&value); tensor != nullptr && !tensor->defined())
    value = std::monostate{};
  entries_.set(name, std::move(value));
}

bool operator==(const Arguments& a, const Arguments& b) {
  return a.size() == b.size() && std::ranges::all_of(a.entries_, [&](const auto& entry) {
           const Argument* other = b.entries_.find(entry.first);
           return other != nullptr && *other == entry.second;
         });
}

std::vector<Arguments::Entry>::const_iterator Arguments::begin() const { return entries_.begin(); }
std::vector<Arguments::Entry>::const_iterator Arguments::end() const { return entries_.end(); }
std::size_t Arguments::size() const { return entries_.size(); }

bool Arguments::has(std::string_view name) const { return find(name) != nullptr; }

const Argument* Arguments::find(std::string_view name) const {
  read_.emplace(name);
  const Argument* found = entries_.find(name);
  return found == nullptr || std::holds_alternative<std::monostate>(*found) ? nullptr : found;
}

const Argument& Arguments::need(std::string_view name) const {
  if (const Argument* found = find(name)) return *found;
  NameList there;
  for (const auto& [other, value] : entries_)
    if (!std::holds_alternative<std::monostate>(value)) there.add(other);
  const std::string names = there.text();
  // What nobody read yet may still be read: it must be much like the name to be taken for it.
  std::vector<std::string_view> unread;
  for (const auto& [other, value] : entries_)
    if (!read_.contains(other) && unread.size() < kShown) unread.push_back(other);
  const std::string_view meant = nearest_name(name, unread, 5);
  throw KeyError(cat("[Arguments] ", quote(name), " is missing; there is ",
                     names.empty() ? std::string("nothing") : names,
                     meant.empty() ? std::string() : cat("; is ", quote(meant), " meant to be it?")));
}

std::int64_t Arguments::integer(std::string_view name) const {
  return as<std::int64_t>(name, "an integer", need(name));
}
std::int64_t Arguments::integer(std::string_view name, std::int64_t fallback) const {
  return has(name) ? integer(name) : fallback;
}
double Arguments::number(std::string_view name) const { return as_number(name, need(name)); }
double Arguments::number(std::string_view name, double fallback) const { return has(name) ? number(name) : fallback; }
bool Arguments::boolean(std::string_view name) const { return as<bool>(name, "a bool", need(name)); }
bool Arguments::boolean(std::string_view name, bool fallback) const { return has(name) ? boolean(name) : fallback; }
std::string Arguments::text(std::string_view name) const { return as<std::string>(name, "a text", need(name)); }
std::string Arguments::text(std::string_view name, std::string_view fallback) const {
  return has(name) ? text(name) : std::string(fallback);
}

std::vector<std::int64_t> Arguments::integers(std::string_view name) const {
  const Argument& found = need(name);
  if (const auto* value = std::get_if<std::int64_t>(&found)) return {*value};
  if (const auto* reals = std::get_if<std::vector<double>>(&found); reals != nullptr && reals->empty()) return {};
  return as<std::vector<std::int64_t>>(name, "an integer or a list of integers", found);
}
std::vector<std::int64_t> Arguments::integers(std::string_view name, std::vector<std::int64_t> fallback) const {
  return has(name) ? integers(name) : std::move(fallback);
}

std::vector<double> Arguments::numbers(std::string_view name) const {
  const Argument& found = need(name);
  if (const auto* whole = std::get_if<std::vector<std::int64_t>>(&found)) return {whole->begin(), whole->end()};
  if (const auto* list = std::get_if<std::vector<double>>(&found)) return *list;
  if (std::holds_alternative<std::int64_t>(found) || std::holds_alternative<double>(found))
    return {as_number(name, found)};
  wrong_kind(name, "a number or a list of numbers", found);
}
std::vector<double> Arguments::numbers(std::string_view name, std::vector<double> fallback) const {
  return has(name) ? numbers(name) : std::move(fallback);
}

Tensor Arguments::tensor(std::string_view name) const { return as<Tensor>(name, "a tensor", need(name)); }
const Arguments& Arguments::map(std::string_view name) const { return as<Arguments>(name, "a map", need(name)); }
const std::string& Arguments::function_name(std::string_view name) const {
  return as<NamedFunction>(name, "a function", need(name)).name;
}

void Arguments::reject_unread(std::string_view type) const {
  NameList unread, meant;
  std::size_t looked_at = 0;
  std::vector<std::string_view> free;  // names that were asked for in vain
  for (const std::string& name : read_)
    if (entries_.find(name) == nullptr) free.emplace_back(name);
  for (const auto& [name, value] : entries_) {
    if (read_.contains(name)) continue;
    unread.add(name);
    if (++looked_at > kShown) continue;
    if (const std::string_view near = nearest_name(name, free); !near.empty()) meant.add(near);
  }
  if (const std::string names = unread.text(); !names.empty())
    throw KeyError(cat("[", type, "] unknown arguments: ", names,
                       meant.text().empty() ? std::string() : cat("; the nearest known ones: ", meant.text())));
}

Arguments Arguments::clone() const {
  Arguments out;
  for (const auto& [name, value] : entries_) {
    if (const auto* tensor = std::get_if<Tensor>(&value))
      out.set(name, tensor->detach().clone());
    else if (const auto* map = std::get_if<Arguments>(&value))
      out.set(name, map->clone());
    else
      out.set(name, value);
  }
  return out;
}

}  // namespace coppice
