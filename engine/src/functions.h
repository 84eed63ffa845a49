#pragma once
/// Functions of vectors at the instruction-set level in use; kernels/functions/functions.h says how exact they are.

#include <cstdint>

namespace coppice::kernels {

void vexp(const float* x, float* y, std::int64_t n);
void vtanh(const float* x, float* y, std::int64_t n);
void vsigmoid(const float* x, float* y, std::int64_t n);
void lstm_cell(const float* gates, const float* c_prev, float* c, float* h, float* acts, std::int64_t hidden);

}  // namespace coppice::kernels
