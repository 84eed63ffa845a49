#pragma once
/// A map from names to values that keeps the order of insertion.

#include "coppice/engine/cxx20.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coppice {

/// An existing name keeps its place when its value is replaced; an erased name that returns goes to the end. A call
/// that runs out of memory changes nothing.
///
/// Few entries are looked up by a walk; more than kWalked by bisection of their positions sorted by name. Sorted rather
/// than hashed: names come from strangers, who could choose them to have one hash.
template <class Value>
class OrderedMap {
 public:
  using Entry = std::pair<std::string, Value>;
  static constexpr std::size_t kWalked = 16;

  [[nodiscard]] Value* find(std::string_view name) {
    const std::size_t at = index_of(name);
    return at == size() ? nullptr : &entries_[at].second;
  }
  [[nodiscard]] const Value* find(std::string_view name) const { return const_cast<OrderedMap*>(this)->find(name); }
  [[nodiscard]] bool contains(std::string_view name) const { return index_of(name) != size(); }
  void set(std::string_view name, Value value) {
    if (Value* old = find(name))
      *old = std::move(value);
    else
      insert(size(), name, std::move(value));
  }
  /// Inserts before position `at` (the end, if there are fewer entries); `name` must be new.
  void insert(std::size_t at, std::string_view name, Value value) {
    at = std::min(at, size());
    std::string own(name);
    std::vector<std::uint32_t> first;  // the index, where this entry is the one that makes it worth having
    if (!sorted_.empty()) {
      if (sorted_.size() == sorted_.capacity()) sorted_.reserve(2 * sorted_.size());
    } else if (size() == kWalked) {
      first.reserve(4 * kWalked);
      for (std::uint32_t i = 0; i < kWalked; ++i) first.push_back(i);
      std::ranges::sort(first, {}, [this](std::uint32_t i) -> const std::string& { return entries_[i].first; });
    }
    entries_.emplace(entries_.begin() + static_cast<std::ptrdiff_t>(at), std::move(own), std::move(value));
    // Nothing from here on takes memory.
    if (!first.empty()) sorted_.swap(first);
    if (sorted_.empty()) return;
    if (at + 1 < size()) move_positions(at, UINT32_MAX, 1);
    index(at);
  }
  /// Gives the entry `from` another name and moves it before position `at` (the end, if there are fewer). Allocates
  /// nothing; nothing happens if there is no such entry.
  void rename(std::string_view from, std::string to, std::size_t at) {
    const std::size_t was = index_of(from);
    if (was == size()) return;
    const std::size_t goal = std::min(at, size() - 1);
    if (!sorted_.empty()) {
      sorted_.erase(sorted_place(from));
      if (goal > was)
        move_positions(was + 1, goal, -1);
      else if (goal < was)
        move_positions(goal, was - 1, 1);
    }
    entries_[was].first = std::move(to);
    const auto it = entries_.begin() + static_cast<std::ptrdiff_t>(was);
    const auto target = entries_.begin() + static_cast<std::ptrdiff_t>(goal);
    if (goal > was)
      std::rotate(it, it + 1, target + 1);
    else
      std::rotate(target, it, it + 1);
    if (!sorted_.empty()) index(goal);
  }
  /// Moves these entries behind all others, in this order. Each must be there, and be named once.
  void move_last(const std::vector<std::string>& names) {
    constexpr std::uint32_t kUnnamed = UINT32_MAX;
    std::vector<std::uint32_t> place(size(), kUnnamed);  // of each entry in the new order
    const std::size_t kept = size() - names.size();
    for (std::size_t i = 0; i < names.size(); ++i) place[index_of(names[i])] = static_cast<std::uint32_t>(kept + i);
    std::uint32_t next = 0;
    for (std::uint32_t& p : place)
      if (p == kUnnamed) p = next++;
    std::vector<Entry> moved(size());
    for (std::size_t i = 0; i < size(); ++i) moved[place[i]] = std::move(entries_[i]);
    entries_.swap(moved);
    for (std::uint32_t& p : sorted_) p = place[p];
  }
  /// Position of `name`, or size().
  [[nodiscard]] std::size_t index_of(std::string_view name) const {
    if (sorted_.empty())
      return static_cast<std::size_t>(std::ranges::find(entries_, name, &Entry::first) - entries_.begin());
    const auto it = sorted_place(name);
    return it != sorted_.end() && entries_[*it].first == name ? *it : size();
  }
  /// Allocates nothing.
  bool erase(std::string_view name) {
    const std::size_t at = index_of(name);
    if (at == size()) return false;
    if (!sorted_.empty()) {
      sorted_.erase(sorted_place(name));
      move_positions(at + 1, UINT32_MAX, -1);
    }
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(at));
    return true;
  }
  void clear() {
    entries_.clear();
    sorted_.clear();
  }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }
  /// Values may be changed through these, names must not.
  [[nodiscard]] auto begin() { return entries_.begin(); }
  [[nodiscard]] auto end() { return entries_.end(); }

 private:
  /// Where `name` stands or would stand in the index.
  [[nodiscard]] auto sorted_place(std::string_view name) const {
    return std::ranges::lower_bound(sorted_, name, {},
                                    [this](std::uint32_t i) { return std::string_view(entries_[i].first); });
  }
  /// Enters the entry at this position.
  void index(std::size_t at) { sorted_.insert(sorted_place(entries_[at].first), static_cast<std::uint32_t>(at)); }
  /// Follows entries of positions first..last that moved by `step`.
  void move_positions(std::size_t first, std::size_t last, int step) {
    for (std::uint32_t& p : sorted_)
      if (p >= first && p <= last) p = static_cast<std::uint32_t>(static_cast<std::int64_t>(p) + step);
  }

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> sorted_;  // positions of all entries in the order of their names, or empty
};

}  // namespace coppice
