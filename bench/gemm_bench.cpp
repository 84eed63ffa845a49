// Our dense products against Eigen's, one thread, with the machine's roof.
//
//   gemm_bench      a ratio above 1: ours is faster
#include <Eigen/Core>
#include <cstdio>

#include "coppice/engine/cpu.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/linalg.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"
#include "harness.h"

using namespace coppice;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

int main() {
  set_num_threads(1);
  const double roof = bench::fma_roof();
  std::printf("level %s, %d bytes per vector for Eigen (compiled for this machine), roof %.0f GFLOP/s\n",
              std::string(name_of(cpu_level())).c_str(), static_cast<int>(EIGEN_MAX_STATIC_ALIGN_BYTES), roof);
  std::printf("%6s %6s %6s | %10s %10s %8s | %8s\n", "rows", "inner", "cols", "ours, us", "Eigen, us", "ratio",
              "of roof");
  struct Sizes {
    std::int64_t m, k, n;
  };
  for (const Sizes& s : {Sizes{1024, 1024, 1024}, Sizes{512, 512, 512}, Sizes{256, 256, 256}, Sizes{64, 1024, 512},
                         Sizes{1, 1024, 1024}, Sizes{2, 1024, 1024}, Sizes{4, 1024, 1024}, Sizes{16, 1024, 1024}}) {
    // x [m, k] times wT, w [n, k]: the product of a Linear layer.
    const Tensor x = rand({s.m, s.k}), w = rand({s.n, s.k});
    const Eigen::Map<const Matrix> ex(x.data<float>().data(), s.m, s.k), ew(w.data<float>().data(), s.n, s.k);
    Matrix ey(s.m, s.n);
    const auto t = bench::measure({[&] { (void)linear(x, w); }, [&] { ey.noalias() = ex * ew.transpose(); }}, 0.3);
    const double flops = 2.0 * static_cast<double>(s.m * s.k * s.n);
    std::printf("%6lld %6lld %6lld | %10.1f %10.1f %7.2fx | %6.0f %%\n", static_cast<long long>(s.m),
                static_cast<long long>(s.k), static_cast<long long>(s.n), t[0].median, t[1].median,
                t[1].median / t[0].median, 100 * flops / t[0].median * 1e-3 / roof);
  }
}
