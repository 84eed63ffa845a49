#pragma once
/// Functions of vectors, one table per instruction-set level.

#include <cstdint>

namespace coppice::kernels {

/// Element-wise, serial; in place is allowed. Within 2e-7 relative of the exact value (results below the smallest
/// normal number may be 0); inf and NaN as in <cmath>.
struct FunctionKernels {
  void (*vexp)(const float* x, float* y, std::int64_t n);
  void (*vtanh)(const float* x, float* y, std::int64_t n);
  void (*vsigmoid)(const float* x, float* y, std::int64_t n);

  /// One LSTM cell for one sample: i, f, o = sigmoid, g = tanh; c = f c_prev + i g; h = o tanh(c).
  /// @param gates   [4 * hidden] pre-activations in the order i, f, g, o
  /// @param c       [hidden], may be c_prev
  /// @param acts    [4 * hidden] receives the activated gates for the backward pass, or null
  void (*lstm_cell)(const float* gates, const float* c_prev, float* c, float* h, float* acts, std::int64_t hidden);
};

}  // namespace coppice::kernels
