// Steps of DataNormSparsifier, against one reading of the data; and the published sweep of PyTorch's benchmark at 1/64
// of its rows. sparsifier_steps.h says how to call this; besides:
//
//     data_norm_bench sweep       the published sweep with all its 20 levels
#include <libdeflate.h>

#include "sparsifier_steps.h"

namespace {

using namespace coppice;
using namespace coppice::sparsity;

struct Case {
  const char* name;
  std::string norm;
  std::array<std::int64_t, 2> block;
  std::int64_t zeros;
};
const std::vector<Case> kCases{{"L1_1x1_1", "L1", {1, 1}, 1},   {"L1_1x4_4", "L1", {1, 4}, 4},
                               {"L1_4x1_4", "L1", {4, 1}, 4},   {"L1_16x1_16", "L1", {16, 1}, 16},
                               {"L1_4x4_16", "L1", {4, 4}, 16}, {"L1_1x4_2", "L1", {1, 4}, 2},
                               {"L2_1x1_1", "L2", {1, 1}, 1},   {"L2_1x4_4", "L2", {1, 4}, 4}};

std::unique_ptr<DataNormSparsifier> make(const Case& c, const Tensor& weight) {
  return std::make_unique<DataNormSparsifier>(
      DataList{{"data", weight}},
      DataNormOptions{.sparse_block_shape = c.block, .zeros_per_block = c.zeros, .norm = c.norm});
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

std::size_t deflated(std::span<const std::byte> bytes, std::vector<char>& room) {
  static libdeflate_compressor* const compressor = libdeflate_alloc_compressor(6);  // as zip files have it
  room.resize(libdeflate_deflate_compress_bound(compressor, bytes.size()));
  return libdeflate_deflate_compress(compressor, bytes.data(), bytes.size(), room.data(), room.size());
}

/// One model of the benchmark: a step on all tables, and what they take afterwards. `raw` are the masked tables as they
/// are, `bitmap` one bit per value and the values that are left; deflate also of the tables with every -0 as +0, which
/// a product with 0 makes of negative numbers.
void model(const DataList& data, const std::string& norm, std::int64_t width, double level) {
  DataNormSparsifier s(data, {.sparsity_level = level, .sparse_block_shape = {1, width}, .norm = norm});
  const double ms = bench::call([&] { s.step(); }).ms;
  double kept = 0, all = 0, with_signs = 0, without = 0;
  std::vector<char> room;
  for (const auto& [name, table] : data) {
    const Tensor mask = s.get_mask(name);
    kept += static_cast<double>(count_nonzero(mask));
    all += static_cast<double>(mask.numel());
    Tensor values = mul(table.tensor(), mask);
    with_signs += static_cast<double>(deflated(std::as_bytes(values.data<float>()), room));
    for (float& x : values.mutable_data<float>()) x += 0.0f;
    without += static_cast<double>(deflated(std::as_bytes(values.data<float>()), room));
  }
  std::printf("%-4s 1x%-4d %6.2f %9.2f %8.2f%% %9.2f %9.2f %9.2f %9.2f\n", norm.c_str(), static_cast<int>(width), level,
              ms, 100 * (1 - kept / all), 4 * all / 1e6, (4 * kept + all / 8) / 1e6, with_signs / 1e6, without / 1e6);
}

void sweep(bool full) {
  const DataList data = tables();
  std::vector<double> levels{0, 0.5, 0.9, 0.95, 0.99, 1};
  if (full) {
    levels.clear();
    for (int i = 0; i < 20; ++i) levels.push_back(i < 10 ? i / 10.0 : i < 19 ? 0.9 + (i - 9) / 100.0 : 1.0);
  }
  std::printf("\n26 embedding tables of PyTorch's benchmark at 1/64 of their rows, in MB%s\n",
              full ? "" : " (all levels: sweep)");
  std::printf("%-4s %-6s %6s %9s %9s %9s %9s %9s %9s\n", "norm", "block", "level", "step ms", "zeros", "raw", "bitmap",
              "deflate", "with +0");
  for (const auto& [norm, width] : {std::pair{"L1", 1}, {"L1", 4}, {"L2", 4}})
    for (const double level : levels) model(data, norm, width, level);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "sweep") {
    set_num_threads(1);
    manual_seed(0);
    sweep(true);
    return 0;
  }
  return bench::run(argc, argv, kCases, [] { sweep(false); });
}
