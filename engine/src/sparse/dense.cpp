// dense: every number in its place. "values" f32 [rows, cols].
#include <algorithm>

#include "../gemm.h"
#include "format.h"

namespace coppice::sparse {
namespace {

constexpr std::string_view kMembers[] = {"values"};
constexpr PackedLayout kLayout{"dense", kMembers};

const float* values_of(const Packed& w) { return w.members[0].second.data<float>().data(); }

Members pack(const PackedFormatRow&, const Tensor& dense) {
  Tensor out = Tensor::empty(dense.shape());
  std::ranges::transform(dense.data<float>(), out.mutable_data<float>().begin(),
                         [](float v) { return vanishes(v) ? 0.0f : v; });
  return {{"values", out}};
}

void check(const Packed& w) { check_member(w.members[0], w.row.element, Shape{w.rows, w.cols}); }

Tensor unpack(const Packed& w) { return w.members[0].second.clone(); }

void linear(const Packed& w, const float* x, std::int64_t batch, const float* bias, float* y) {
  kernels::gemm(kernels::Gemm<float>{.m = batch,
                                     .n = w.rows,
                                     .k = w.cols,
                                     .a = x,
                                     .lda = w.cols,
                                     .b = values_of(w),
                                     .ldb = w.cols,
                                     .trans_b = true,
                                     .c = y,
                                     .ldc = w.rows,
                                     .row_bias = bias});
}

void multiply(const Packed& w, const float* x, std::int64_t n, const float* bias, float* y) {
  kernels::gemm_serial(kernels::Gemm<float>{.m = w.rows,
                                            .n = n,
                                            .k = w.cols,
                                            .a = values_of(w),
                                            .lda = w.cols,
                                            .b = x,
                                            .ldb = n,
                                            .c = y,
                                            .ldc = n,
                                            .col_bias = bias});
}

}  // namespace

extern constinit const PackedFormatRow kDense{"dense", kLayout, {1, 1}, Dtype::f32, pack,
                                              check,   unpack,  linear, multiply};

}  // namespace coppice::sparse
