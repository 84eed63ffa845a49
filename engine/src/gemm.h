#pragma once
/// Dense products: what one is, and how it is spread over threads.

#include <cstdint>

namespace coppice::kernels {

/// C = op(A) op(B) (+ C) (+ biases), all row-major.
///
/// op(A): [m, k], op(B): [k, n], C: [m, n]. `lda` is the distance between rows as stored: of [m, k], or of [k, m]
/// when `trans_a`; likewise `ldb` of [k, n], or of [n, k] when `trans_b`. Sizes may be 0; with k == 0 the product is 0.
/// C overlaps neither input.
template <class T>
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;
  std::int64_t lda = 0;
  bool trans_a = false;
  const T* b = nullptr;
  std::int64_t ldb = 0;
  bool trans_b = false;
  T* c = nullptr;
  std::int64_t ldc = 0;
  bool accumulate = false;      ///< adds to what C holds; otherwise C is only written
  const T* row_bias = nullptr;  ///< [n], added to every row of C
  const T* col_bias = nullptr;  ///< [m], added to every column of C
};

/// Runs over a grid of output tiles that depends on the sizes alone: equal bits for any number of threads.
void gemm(const Gemm<float>& p);
void gemm(const Gemm<double>& p);

/// The same on the calling thread, for use inside a parallel body. Bits may differ from gemm().
void gemm_serial(const Gemm<float>& p);
void gemm_serial(const Gemm<double>& p);

}  // namespace coppice::kernels
