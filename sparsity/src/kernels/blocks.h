#pragma once
// Arithmetic on blocks of a matrix, on spans. All of it is serial: callers hand out rows of blocks.

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

/// Adds the row's entries to the running sums of the blocks of `cols` entries that they fall in. The order of additions
/// is that of the entries, so that sums over the rows of a block run in row-major order.
template <class Real>
void add_row(std::span<const Real> row, std::int64_t cols, std::span<Real> sums) {
  const auto width = static_cast<std::int64_t>(row.size());
  if (cols == 1) {  // what the compiler makes vectors of
    for (std::size_t b = 0; b < sums.size(); ++b) sums[b] += row[b];
    return;
  }
  for (std::size_t b = 0; b < sums.size(); ++b) {
    const std::int64_t first = static_cast<std::int64_t>(b) * cols;
    Real sum = sums[b];
    for (std::int64_t i = first; i < std::min(first + cols, width); ++i) sum += row[static_cast<std::size_t>(i)];
    sums[b] = sum;
  }
}

/// The same as mark_smallest() by counting ranks: no branches, and no order to be made. For few cells.
template <class Real>
inline void mark_by_rank(const Real* cells, std::size_t n, std::int64_t count, std::uint8_t* marked) {
  for (std::size_t i = 0; i < n; ++i) {
    std::int64_t rank = 0;
    for (std::size_t j = 0; j < i; ++j) rank += !ranks_before(cells[i], cells[j]);
    for (std::size_t j = i + 1; j < n; ++j) rank += ranks_before(cells[j], cells[i]);
    marked[i] = rank < count;
  }
}

/// Flags the `count` entries that rank first, of equal ones those in front; the other flags become 0.
/// @param order  memory to be used again by the next call
template <class Real>
void mark_smallest(std::span<const Real> cells, std::int64_t count, std::span<std::uint8_t> marked,
                   std::vector<std::pair<Real, std::int64_t>>& order) {
  constexpr std::size_t kCounted = 16;
  const std::size_t n = cells.size();
  if (n == 4) return mark_by_rank(cells.data(), 4, count, marked.data());  // a constant: unrolled
  if (n <= kCounted) return mark_by_rank(cells.data(), n, count, marked.data());
  std::fill(marked.begin(), marked.end(), std::uint8_t{0});
  if (count == 0) return;
  order.clear();
  for (std::size_t i = 0; i < n; ++i) order.emplace_back(cells[i], static_cast<std::int64_t>(i));
  const auto end = order.begin() + count;
  if (end != order.end())
    std::nth_element(order.begin(), end, order.end(), [](const auto& a, const auto& b) {
      return ranks_before(a.first, b.first) || (!ranks_before(b.first, a.first) && a.second < b.second);
    });
  for (auto it = order.begin(); it != end; ++it) marked[static_cast<std::size_t>(it->second)] = 1;
}

/// The same with the entries that torch.argsort puts first on a CPU: std::sort by values alone, where the standard
/// library is libstdc++. Up to 16 entries that is the order of mark_smallest().
template <class Real>
void mark_by_argsort(std::span<const Real> cells, std::int64_t count, std::span<std::uint8_t> marked,
                     std::vector<std::pair<Real, std::int64_t>>& order) {
  std::fill(marked.begin(), marked.end(), std::uint8_t{0});
  order.clear();
  for (std::size_t i = 0; i < cells.size(); ++i) order.emplace_back(cells[i], static_cast<std::int64_t>(i));
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return ranks_before(a.first, b.first); });
  for (std::int64_t i = 0; i < count; ++i)
    marked[static_cast<std::size_t>(order[static_cast<std::size_t>(i)].second)] = 1;
}

}  // namespace coppice::sparsity::kernels
