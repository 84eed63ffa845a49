#pragma once
// Counting in bins, moving counts to wider bins, and the search for the range that loses least. Private to the library.

#include <cstdint>
#include <span>
#include <vector>

namespace coppice::nn::quant {

struct Histogram {
  std::vector<float> counts;
  float min, max;
};

/// Counts of the values within [low, high] in `bins` equal bins; equal ends are widened by 1.
/// Source: torch.histc
[[nodiscard]] std::vector<float> histc(std::span<const float> values, std::size_t bins, float low, float high);

/// The counts of `h` in bins over [low, high], which holds its range.
[[nodiscard]] std::vector<float> moved(const Histogram& h, float low, float high);

/// Bins first .. last.
struct BinRange {
  std::int64_t first, last;
  friend bool operator==(const BinRange&, const BinRange&) = default;
};

/// Squared error of rounding to `levels` values spread over the range; values outside go to its ends.
[[nodiscard]] double rounding_error(const Histogram& h, BinRange range, double levels);

/// Where the greedy search ends: it takes 10^-5 of the counts off the end that frees more bins, until the error grows.
[[nodiscard]] BinRange search_range(const Histogram& h, double levels);

}  // namespace coppice::nn::quant
