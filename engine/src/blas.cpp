#include "blas.h"

#include <cblas.h>

#include <algorithm>
#include <climits>

// Not in the standard interface: OpenBLAS has it, others may not.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace coppice::kernels {
namespace {

// Below this many multiplications a call costs more than it saves.
constexpr std::int64_t kWorth = 32 * 32 * 32;

/// The threads are ours: a BLAS with a pool of its own would start one per task.
[[maybe_unused]] const bool one_thread = [] {
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
  return true;
}();

void product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, const Gemm<float>& p) {
  cblas_sgemm(CblasRowMajor, ta, tb, static_cast<int>(p.m), static_cast<int>(p.n), static_cast<int>(p.k), 1, p.a,
              static_cast<int>(p.lda), p.b, static_cast<int>(p.ldb), p.accumulate ? 1.0F : 0.0F, p.c,
              static_cast<int>(p.ldc));
}
void product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, const Gemm<double>& p) {
  cblas_dgemm(CblasRowMajor, ta, tb, static_cast<int>(p.m), static_cast<int>(p.n), static_cast<int>(p.k), 1, p.a,
              static_cast<int>(p.lda), p.b, static_cast<int>(p.ldb), p.accumulate ? 1.0 : 0.0, p.c,
              static_cast<int>(p.ldc));
}

template <class T>
bool compute(const Gemm<T>& p) {
  if (p.m <= 0 || p.n <= 0 || p.k <= 0 || p.m * p.n < kWorth / p.k) return false;
  if (std::max({p.m, p.n, p.k, p.lda, p.ldb, p.ldc}) > INT_MAX) return false;
  product(p.trans_a ? CblasTrans : CblasNoTrans, p.trans_b ? CblasTrans : CblasNoTrans, p);
  if (p.row_bias == nullptr && p.col_bias == nullptr) return true;
  for (std::int64_t i = 0; i < p.m; ++i) {
    const T row = p.col_bias != nullptr ? p.col_bias[i] : T(0);
    for (std::int64_t j = 0; j < p.n; ++j) p.c[i * p.ldc + j] += row + (p.row_bias != nullptr ? p.row_bias[j] : T(0));
  }
  return true;
}

}  // namespace

bool blas_product(const Gemm<float>& p) { return compute(p); }
bool blas_product(const Gemm<double>& p) { return compute(p); }

}  // namespace coppice::kernels
