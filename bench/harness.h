#pragma once
/// Timing for benchmarks: warm-up, repeated and interleaved runs, medians; and the machine's own limits.

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

namespace coppice::bench {

/// Microseconds of one call.
struct Timing {
  double median = 0;
  double best = 0;
  double p95 = 0;
};

/// Times the candidates in turn, so that all of them see the same state of the machine. Short calls are repeated
/// within a sample until it lasts 20 µs. Takes about `seconds` for each candidate.
inline std::vector<Timing> measure(const std::vector<std::function<void()>>& candidates, double seconds = 0.1) {
  using Clock = std::chrono::steady_clock;
  const auto time = [](const std::function<void()>& f, int calls) {
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) f();
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count() / calls;
  };
  std::vector<int> calls;
  double round = 0;
  for (const auto& f : candidates) {
    f();  // warm-up: caches, pages, threads
    const double once = std::min(time(f, 1), time(f, 1));
    calls.push_back(std::max(1, static_cast<int>(20 / std::max(once, 0.01))));
    round += once * calls.back();
  }
  const double budget = seconds * 1e6 * static_cast<double>(candidates.size());
  const int rounds = std::clamp(static_cast<int>(budget / std::max(round, 1.0)), 15, 2000);
  std::vector<std::vector<double>> samples(candidates.size());
  for (int r = 0; r < rounds; ++r)
    for (std::size_t i = 0; i < candidates.size(); ++i) samples[i].push_back(time(candidates[i], calls[i]));
  std::vector<Timing> out;
  for (auto& s : samples) {
    std::sort(s.begin(), s.end());
    out.push_back({s[s.size() / 2], s.front(), s[s.size() * 95 / 100]});
  }
  return out;
}

/// Most float32 operations per second that one core does, in GFLOP/s: independent multiply-adds in registers.
[[nodiscard]] double fma_roof();
/// Read bandwidth of one core over a buffer of `bytes`, in GB/s.
[[nodiscard]] double read_bandwidth(std::size_t bytes);

}  // namespace coppice::bench
