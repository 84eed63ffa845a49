#pragma once
/// A map from names to values that keeps the order of insertion.

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coppice::nn {

/// Few entries, looked up by a linear walk. An existing name keeps its place when its value is replaced; an erased
/// name that returns goes to the end.
template <class Value>
class OrderedMap {
 public:
  using Entry = std::pair<std::string, Value>;

  [[nodiscard]] Value* find(std::string_view name) {
    const auto it = std::ranges::find(entries_, name, &Entry::first);
    return it == entries_.end() ? nullptr : &it->second;
  }
  [[nodiscard]] const Value* find(std::string_view name) const { return const_cast<OrderedMap*>(this)->find(name); }
  [[nodiscard]] bool contains(std::string_view name) const { return find(name) != nullptr; }
  void set(std::string_view name, Value value) {
    if (Value* old = find(name)) *old = std::move(value);
    else entries_.emplace_back(std::string(name), std::move(value));
  }
  /// Inserts before position `at` (the end, if there are fewer entries); `name` must be new.
  void insert(std::size_t at, std::string_view name, Value value) {
    entries_.emplace(entries_.begin() + static_cast<std::ptrdiff_t>(std::min(at, entries_.size())), std::string(name),
                     std::move(value));
  }
  /// Gives the entry `from` another name and moves it before position `at` (the end, if there are fewer). Allocates
  /// nothing; nothing happens if there is no such entry.
  void rename(std::string_view from, std::string to, std::size_t at) {
    const auto it = std::ranges::find(entries_, from, &Entry::first);
    if (it == entries_.end()) return;
    it->first = std::move(to);
    const auto last = entries_.end() - 1;
    const auto goal = entries_.begin() + static_cast<std::ptrdiff_t>(std::min(at, entries_.size() - 1));
    if (goal > it) std::rotate(it, it + 1, std::min(goal, last) + 1);
    else std::rotate(goal, it, it + 1);
  }
  /// Position of `name`, or size().
  [[nodiscard]] std::size_t index_of(std::string_view name) const {
    return static_cast<std::size_t>(std::ranges::find(entries_, name, &Entry::first) - entries_.begin());
  }
  bool erase(std::string_view name) {
    return std::erase_if(entries_, [&](const Entry& e) { return e.first == name; }) > 0;
  }
  void clear() { entries_.clear(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }
  [[nodiscard]] auto begin() { return entries_.begin(); }
  [[nodiscard]] auto end() { return entries_.end(); }

 private:
  std::vector<Entry> entries_;
};

}  // namespace coppice::nn
