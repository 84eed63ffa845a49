#pragma once
/// Steps of sparsifiers on a 4096x1024 weight of normal numbers: the program around a table of cases, for the benches
/// of both families.
//
//     PROGRAM                     the table, against one reading of the weight
//     PROGRAM CASE                processor milliseconds of the first and of a repeated step, and extra megabytes
//                                 of the first: our side of peers/sparsifier_compare.py
//     PROGRAM version

#include <cstdio>

#include "coppice/engine/version.h"
#include "coppice/sparsity.h"
#include "harness.h"
#include "process.h"

namespace coppice::bench {

/// The first step and two more of one sparsifier that is made anew.
struct Steps {
  double first = 0, again = 0;  // ms, medians
  double extra = 0;             // MB, of the first
};

template <class Case>
Steps steps(const Case& c, int rounds = 15) {
  const Tensor weight = randn({4096, 1024});
  std::vector<double> first, again;
  Steps out;
  make(c, randn({512, 1024}))->step();  // pages of the program are no memory of the first step
  for (int i = 0; i <= rounds; ++i) {
    auto sparsifier = make(c, weight);
    const Call one = call([&] { sparsifier->step(); });
    const Call two = call([&] { sparsifier->step(); });
    out.extra = std::max(out.extra, one.extra);
    if (i == 0) continue;
    first.push_back(one.ms);
    again.push_back(two.ms);
  }
  out.first = median(first);
  out.again = median(again);
  return out;
}

/// make(case, weight) -> pointer to a sparsifier of that weight; `rest` follows the table.
template <class Case>
int run(
    int argc, char** argv, const std::vector<Case>& cases, const std::function<void()>& rest = [] {}) {
  set_num_threads(1);
  manual_seed(0);
  const std::string task = argc < 2 ? "" : argv[1];
  if (task == "version") {
    std::printf("coppice %s\n", std::string(kVersion).c_str());
    return 0;
  }
  for (const Case& c : cases)
    if (task == c.name) {
      const Steps r = steps(c);
      std::printf("%.6f %.6f %.1f\n", r.first, r.again, r.extra);
      return 0;
    }
  if (!task.empty()) {
    std::fprintf(stderr, "no case '%s'\n", task.c_str());
    return 1;
  }
  const double read = read_bandwidth(std::size_t{256} << 20);
  const double once = 4.0 * 4096 * 1024 / read / 1e6;
  std::printf("one thread; 4096x1024 floats, read once at %.1f GB/s: %.2f ms\n", read, once);
  std::printf("%-12s %10s %10s %10s %12s\n", "case", "first ms", "again ms", "extra MB", "/ read once");
  for (const Case& c : cases) {
    const Steps r = steps(c);
    std::printf("%-12s %10.2f %10.2f %10.1f %12.2f\n", c.name, r.first, r.again, r.extra, r.first / once);
  }
  rest();
  return 0;
}

}  // namespace coppice::bench
