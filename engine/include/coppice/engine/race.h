#pragma once
/// The time of calls that are compared with one another.

#include <functional>
#include <span>
#include <vector>

#include "coppice/engine/cxx20.h"

namespace coppice {

struct RaceOptions {
  int rounds = 101;  ///< samples of each runner, at least 1
  /// All rounds together take about this long; there are fewer then, but at least `least` or `rounds`.
  double seconds = 1e9;
  int least = 3;
};

/// Microseconds of one call.
struct RaceTime {
  double best = 0;
  double median = 0;
  double p95 = 0;
};

/// Runs all in turn, so that a slow moment of the machine hits every one of them: after a warm-up, rounds in which each
/// gives one sample. A sample is as many calls as last 0.2 ms together, at most 1,000.
/// @return  a row for each runner, in their order
/// @throws ValueError  for options outside their ranges; what a runner throws
[[nodiscard]] std::vector<RaceTime> race(std::span<const std::function<void()>> runners,
                                         const RaceOptions& options = {});

}  // namespace coppice
