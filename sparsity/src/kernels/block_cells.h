#pragma once
// Which cells of a block rank first, on spans. All of it is serial.

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace coppice::sparsity::kernels {

/// Whether a score ranks before another: NaN behind every number, equal to itself.
template <class Real>
[[nodiscard]] bool ranks_before(Real a, Real b) {
  return a < b || (a == a && b != b);
}

template <class Real>
using Order = std::vector<std::pair<Real, std::int64_t>>;

/// marks[i] = 1 where cell i of a block is one of the `count` that rank first, of equal ones those in front; else 0.
/// Cells are those that stand in the matrix, row by row of `cols`; those right of them up to `width`, and below, count
/// as NaN: behind every number, and among NaN by their place.
/// @param order  memory to be used again by the next call
template <class Real>
void mark_lowest(std::span<const Real> cells, std::int64_t cols, std::int64_t width, std::int64_t count,
                 std::span<std::uint8_t> marks, Order<Real>& order) {
  std::fill(marks.begin(), marks.end(), std::uint8_t{0});
  order.clear();
  for (std::size_t i = 0; i < cells.size(); ++i)
    if (cells[i] == cells[i]) order.emplace_back(cells[i], static_cast<std::int64_t>(i));
  const auto numbers = static_cast<std::int64_t>(order.size());
  if (count < numbers) {
    const auto end = order.begin() + count;
    std::nth_element(order.begin(), end, order.end());  // by value, then by place
    for (auto it = order.begin(); it != end; ++it) marks[static_cast<std::size_t>(it->second)] = 1;
    return;
  }
  std::int64_t before = 0;  // numbers, in the order of places
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const bool number = cells[i] == cells[i];
    marks[i] = number || at / cols * width + at % cols - before < count - numbers;
    before += number;
  }
}

/// The same for a block that is whole, with the entries that torch.argsort puts first on a CPU: std::sort by values
/// alone, where the standard library is libstdc++. Up to 16 entries that is the order of mark_lowest().
template <class Real>
void mark_by_argsort(std::span<const Real> cells, std::int64_t count, std::span<std::uint8_t> marks,
                     Order<Real>& order) {
  std::fill(marks.begin(), marks.end(), std::uint8_t{0});
  order.clear();
  for (std::size_t i = 0; i < cells.size(); ++i) order.emplace_back(cells[i], static_cast<std::int64_t>(i));
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return ranks_before(a.first, b.first); });
  for (std::int64_t i = 0; i < count; ++i)
    marks[static_cast<std::size_t>(order[static_cast<std::size_t>(i)].second)] = 1;
}

}  // namespace coppice::sparsity::kernels
