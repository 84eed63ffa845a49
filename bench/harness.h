#pragma once
/// Timing for benchmarks, and the machine's own limits.

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "coppice/engine/race.h"

namespace coppice::bench {

/// race() for about `seconds` for each candidate, with at least 15 rounds.
inline std::vector<RaceTime> measure(const std::vector<std::function<void()>>& candidates, double seconds = 0.1) {
  return race(candidates, {.rounds = 2000, .seconds = seconds * static_cast<double>(candidates.size()), .least = 15});
}

/// Most float32 operations per second that one core does, in GFLOP/s: independent multiply-adds in registers.
[[nodiscard]] double fma_roof();
/// Most operations on bytes per second that one core does in dot products of vectors, and in tiles, in GOP/s; 0 where
/// the processor has no such instructions (integer_roof.cpp).
[[nodiscard]] double dot_roof();
[[nodiscard]] double tile_roof();
/// Read bandwidth of one core over a buffer of `bytes`, in GB/s.
[[nodiscard]] double read_bandwidth(std::size_t bytes);

}  // namespace coppice::bench
