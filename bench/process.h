#pragma once
/// What the system knows of this process.

#include <time.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace coppice::bench {

/// A line of /proc/self/status in MB.
inline double status(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key)) return std::stod(line.substr(key.size() + 1)) / 1024;
  return 0;
}

/// Milliseconds that the processor spent on this process: other work on the machine disturbs them less than a clock.
inline double processor_ms() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

/// What one call takes on the processor, and the peak memory during it beyond what was held before, in MB.
struct Call {
  double ms = 0, extra = 0;
};
inline Call call(const std::function<void()>& f) {
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak counts from here
  const double before = status("VmRSS");
  const double start = processor_ms();
  f();
  const double ms = processor_ms() - start;
  return {ms, status("VmHWM") - before};
}

inline double median(std::vector<double> samples) {
  std::ranges::sort(samples);
  return samples[samples.size() / 2];
}

}  // namespace coppice::bench
