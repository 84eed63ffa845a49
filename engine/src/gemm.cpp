#include "gemm.h"

#include <cmath>

namespace coppice::kernels {
namespace {

template <class T>
void product(const Gemm<T>& p) {
  for (std::int64_t i = 0; i < p.m; ++i) {
    T* row = p.c + i * p.ldc;
    for (std::int64_t j = 0; j < p.n; ++j) {
      if (!p.accumulate) row[j] = 0;
      if (p.row_bias) row[j] += p.row_bias[j];
      if (p.col_bias) row[j] += p.col_bias[i];
      T sum = 0;
      for (std::int64_t q = 0; q < p.k; ++q)
        sum += (p.trans_a ? p.a[q * p.lda + i] : p.a[i * p.lda + q]) *
               (p.trans_b ? p.b[j * p.ldb + q] : p.b[q * p.ldb + j]);
      row[j] += sum;
    }
  }
}

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

}  // namespace

void gemm(const Gemm<float>& p) { product(p); }
void gemm(const Gemm<double>& p) { product(p); }
void gemm_serial(const Gemm<float>& p) { product(p); }
void gemm_serial(const Gemm<double>& p) { product(p); }

void vexp(const float* x, float* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = std::exp(x[i]);
}
void vtanh(const float* x, float* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = std::tanh(x[i]);
}
void vsigmoid(const float* x, float* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = sigmoid(x[i]);
}

void lstm_cell(const float* gates, const float* c_prev, float* c, float* h, float* acts, std::int64_t hidden) {
  for (std::int64_t j = 0; j < hidden; ++j) {
    const float i = sigmoid(gates[j]), f = sigmoid(gates[hidden + j]);
    const float g = std::tanh(gates[2 * hidden + j]), o = sigmoid(gates[3 * hidden + j]);
    if (acts) {
      acts[j] = i;
      acts[hidden + j] = f;
      acts[2 * hidden + j] = g;
      acts[3 * hidden + j] = o;
    }
    c[j] = f * c_prev[j] + i * g;
    h[j] = o * std::tanh(c[j]);
  }
}

}  // namespace coppice::kernels
