// Steps of DataNormSparsifier, against one reading of the bytes; and the published sweep of PyTorch's benchmark at 1/64
// of its rows.
//
//     data_norm_bench             both tables
//     data_norm_bench CASE        milliseconds of the first and of a repeated step, and extra megabytes of the first,
//     of one
//                                 case such as L1_1x4_4: our side of peers/data_norm_compare.py
#include <cstdio>
#include <fstream>
#include <string>

#include "coppice/engine/version.h"
#include "coppice/sparsity.h"
#include "harness.h"

namespace {

using namespace coppice;
using namespace coppice::sparsity;
using Clock = std::chrono::steady_clock;

struct Case {
  const char* name;
  std::string norm;
  std::array<std::int64_t, 2> block;
  std::int64_t zeros;
};
const std::vector<Case> kCases{{"L1_1x1_1", "L1", {1, 1}, 1},   {"L1_1x4_4", "L1", {1, 4}, 4},
                               {"L1_4x1_4", "L1", {4, 1}, 4},   {"L1_16x1_16", "L1", {16, 1}, 16},
                               {"L1_4x4_16", "L1", {4, 4}, 16}, {"L1_1x4_2", "L1", {1, 4}, 2},
                               {"L2_1x4_4", "L2", {1, 4}, 4}};

/// A line of /proc/self/status in MB.
double status(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key)) return std::stod(line.substr(key.size() + 1)) / 1024;
  return 0;
}

double milliseconds(const std::function<void()>& call) {
  const auto start = Clock::now();
  call();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

struct Result {
  double first = 0, again = 0;  // ms, medians
  double extra = 0;             // peak memory during the first step, MB
};

Result steps(const Case& c, int rounds = 9) {
  const Tensor data = randn({4096, 1024});
  std::vector<double> first, again;
  Result out;
  for (int i = 0; i <= rounds; ++i) {
    DataNormSparsifier s({{"data", data}}, {.sparse_block_shape = c.block, .zeros_per_block = c.zeros, .norm = c.norm});
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak counts from here
    const double before = status("VmRSS");
    const double one = milliseconds([&] { s.step(); });
    out.extra = std::max(out.extra, status("VmHWM") - before);
    const double two = milliseconds([&] { s.step(); });
    if (i == 0) continue;
    first.push_back(one);
    again.push_back(two);
  }
  std::ranges::sort(first);
  std::ranges::sort(again);
  out.first = first[first.size() / 2];
  out.again = again[again.size() / 2];
  return out;
}

/// The 26 tables of the DLRM model of the Criteo data: rows of width 16.
DataList tables() {
  DataList out;
  for (const std::int64_t rows :
       {1460, 583,   10131227, 2202608, 305,  24,   12517, 633,     3,  93145, 5683,   8351593, 3194,
        27,   14992, 5461306,  10,      5652, 2173, 4,     7046547, 18, 15,    286181, 105,     142572})
    out.emplace_back(cat("emb_l_", out.size(), "_weight"), randn({std::max<std::int64_t>(1, rows / 64), 16}));
  return out;
}

void sweep() {
  const DataList data = tables();
  double bytes = 0;
  for (const auto& [name, table] : data) bytes += static_cast<double>(table.tensor().nbytes());
  std::printf("\n26 embedding tables, %.1f MB\n%-6s %-6s %6s %9s %9s %14s\n", bytes / 1e6, "norm", "block", "level",
              "step ms", "zeros", "values + bits");
  for (const auto& [norm, width] : {std::pair{"L1", 1}, {"L1", 4}, {"L2", 4}})
    for (int i = 0; i < 20; ++i) {
      const double level = i < 10 ? i / 10.0 : i < 19 ? 0.9 + (i - 9) / 100.0 : 1.0;
      DataNormSparsifier s(data, {.sparsity_level = level, .sparse_block_shape = {1, width}, .norm = norm});
      const double ms = milliseconds([&] { s.step(); });
      double kept = 0, all = 0;
      for (const auto& [name, table] : data) {
        kept += static_cast<double>(count_nonzero(s.get_mask(name)));
        all += static_cast<double>(table.tensor().numel());
      }
      std::printf("%-6s 1x%-4d %6.2f %9.2f %8.2f%% %11.2f MB\n", norm, width, level, ms, 100 * (1 - kept / all),
                  (4 * kept + all / 8) / 1e6);
    }
}

}  // namespace

int main(int argc, char** argv) {
  set_num_threads(1);
  manual_seed(0);
  const std::string task = argc < 2 ? "" : argv[1];
  if (task == "version") {
    std::printf("coppice %s\n", std::string(kVersion).c_str());
    return 0;
  }
  if (!task.empty()) {
    for (const Case& c : kCases)
      if (task == c.name) {
        const Result r = steps(c);
        std::printf("%.6f %.6f %.1f\n", r.first, r.again, r.extra);
        return 0;
      }
    std::fprintf(stderr, "no case '%s'\n", task.c_str());
    return 1;
  }
  const double read = bench::read_bandwidth(std::size_t{256} << 20);
  const double once = 4.0 * 4096 * 1024 / read / 1e6;
  std::printf("one thread; 4096x1024 floats, read once at %.1f GB/s: %.2f ms\n", read, once);
  std::printf("%-12s %10s %10s %10s %12s\n", "case", "first ms", "again ms", "extra MB", "/ read once");
  for (const Case& c : kCases) {
    const Result r = steps(c);
    std::printf("%-12s %10.2f %10.2f %10.1f %12.2f\n", c.name, r.first, r.again, r.extra, r.first / once);
  }
  sweep();
  return 0;
}
