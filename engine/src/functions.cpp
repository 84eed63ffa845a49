#include "functions.h"

#include "kernels/levels.h"

namespace coppice::kernels {

void vexp(const float* x, float* y, std::int64_t n) { in_use().functions.vexp(x, y, n); }
void vtanh(const float* x, float* y, std::int64_t n) { in_use().functions.vtanh(x, y, n); }
void vsigmoid(const float* x, float* y, std::int64_t n) { in_use().functions.vsigmoid(x, y, n); }

void lstm_cell(const float* gates, const float* c_prev, float* c, float* h, float* acts, std::int64_t hidden) {
  in_use().functions.lstm_cell(gates, c_prev, c, h, acts, hidden);
}

}  // namespace coppice::kernels
