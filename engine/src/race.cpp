#include "coppice/engine/race.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "coppice/engine/error.h"

namespace coppice {
namespace {

constexpr double kSample = 200;  // microseconds: a hundred times what reading the clock takes
constexpr double kMostCalls = 1000;

double microseconds(const std::function<void()>& run, int calls) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) run();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() / calls;
}

/// The sample that `share` of all are not above; sorts them.
double quantile(std::vector<double>& samples, double share) {
  const auto at =
      samples.begin() + static_cast<std::ptrdiff_t>(std::lround(share * static_cast<double>(samples.size() - 1)));
  std::ranges::nth_element(samples, at);
  return *at;
}

}  // namespace

std::vector<RaceTime> race(std::span<const std::function<void()>> runners, const RaceOptions& options) {
  if (options.rounds < 1 || options.least < 1 || !(options.seconds >= 0))
    throw ValueError(cat("[race] rounds and least must be at least 1, seconds at least 0; got ", options.rounds, ", ",
                         options.least, " and ", options.seconds));
  std::vector<int> calls;
  double round = 0;
  for (const std::function<void()>& run : runners) {
    (void)microseconds(run, 1);  // caches, pages, threads
    const double once = std::min(microseconds(run, 1), microseconds(run, 1));
    calls.push_back(static_cast<int>(std::clamp(kSample / (once + 1e-3), 1.0, kMostCalls)));
    round += once * calls.back();
  }
  // Long calls vary less, so fewer of them tell as much.
  const double affordable = std::max<double>(options.seconds * 1e6 / (round + 1e-3), options.least);
  const int rounds = static_cast<int>(std::min<double>(options.rounds, affordable));
  std::vector<std::vector<double>> samples(runners.size());
  for (int r = 0; r < rounds; ++r)
    for (std::size_t i = 0; i < runners.size(); ++i) samples[i].push_back(microseconds(runners[i], calls[i]));
  std::vector<RaceTime> out;
  for (std::vector<double>& s : samples) out.push_back({std::ranges::min(s), quantile(s, 0.5), quantile(s, 0.95)});
  return out;
}

}  // namespace coppice
