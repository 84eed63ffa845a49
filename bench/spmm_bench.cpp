// Packed products against our own dense product: which format pays from which sparsity on.
//
//   spmm_bench [threads]      one table per shape and batch; a ratio above 1 is faster than dense
#include <cstdio>
#include <cstdlib>

#include "coppice/engine/cpu.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"
#include "coppice/engine/sparse/packed_matrix.h"
#include "harness.h"

using namespace coppice;

namespace {

/// A matrix of which whole blocks are zero: what a pruner makes for a format of such blocks.
Tensor blocky(std::int64_t rows, std::int64_t cols, PackedBlock block, double sparsity, Generator& g) {
  Tensor w = Tensor::empty(Shape{rows, cols});
  const auto data = w.mutable_data<float>();
  g.uniform(data, -1, 1);
  std::vector<float> keep(static_cast<std::size_t>(cols));
  for (std::int64_t r = 0; r < rows; ++r) {
    if (r % block.rows == 0) g.bernoulli(std::span(keep), 1 - sparsity);
    for (std::int64_t c = 0; c < cols; ++c)
      data[static_cast<std::size_t>(r * cols + c)] *= keep[static_cast<std::size_t>(c / block.cols * block.cols)];
  }
  return w;
}

void table(std::int64_t rows, std::int64_t cols, std::int64_t batch, double roof) {
  Generator g(1);
  Tensor x = Tensor::empty(Shape{batch, cols}), bias = Tensor::empty(Shape{rows});
  g.uniform(x.mutable_data<float>(), -1, 1);
  g.uniform(bias.mutable_data<float>(), -1, 1);
  const double flops = 2.0 * static_cast<double>(rows * cols * batch);
  std::printf("\n%lld x %lld, batch %lld: microseconds (ratio to dense, percent of the roof in non-zero products)\n",
              static_cast<long long>(rows), static_cast<long long>(cols), static_cast<long long>(batch));
  std::printf("%-9s", "sparsity");
  for (const PackedFormat f : all_packed_formats()) std::printf("%22s", to_string(f).c_str());
  std::puts("");
  for (const double sparsity : {0.5, 0.7, 0.8, 0.9, 0.95}) {
    std::vector<PackedMatrix> matrices;
    std::vector<std::function<void()>> runs;
    for (const PackedFormat f : all_packed_formats())
      matrices.push_back(PackedMatrix::pack(blocky(rows, cols, f.block(), sparsity, g), f));
    for (const PackedMatrix& m : matrices) runs.push_back([&] { (void)m.linear(x, bias); });
    const auto times = bench::measure(runs);
    std::printf("%-9.2f", sparsity);
    for (std::size_t i = 0; i < times.size(); ++i) {
      const double work = flops * (i == 0 ? 1 : 1 - sparsity);
      std::printf("%9.1f (%5.2f, %3.0f%%)", times[i].median, times[0].median / times[i].median,
                  100 * work / times[i].median * 1e-3 / roof);
    }
    std::puts("");
  }
}

}  // namespace

int main(int argc, char** argv) {
  set_num_threads(argc > 1 ? std::max(1, std::atoi(argv[1])) : 1);
  const double roof = bench::fma_roof();
  std::printf("level %s, %d thread(s); one core: %.0f GFLOP/s multiply-add", name_of(cpu_level()).data(), num_threads(),
              roof);
  for (const auto& [name, kb] : {std::pair{"16 KB", 16}, {"512 KB", 512}, {"8 MB", 8192}, {"256 MB", 262144}})
    std::printf(", %s read at %.0f GB/s", name, bench::read_bandwidth(static_cast<std::size_t>(kb) * 1024));
  std::puts("");
  for (const auto& [rows, cols] : {std::pair{1024, 1024}, {512, 1024}})
    for (const int batch : {1, 64}) table(rows, cols, batch, roof * num_threads());
}
