// Comparisons and logic: bool results, no gradients.
#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/elementwise.h"
#include "ops/map.h"

namespace coppice {
namespace {

template <class F>
Tensor compare(const char* op, const Tensor& a, const Tensor& b, Dtype inner, F f) {
  Tensor y = Tensor::empty(broadcast(op, a.shape(), b.shape()), Dtype::boolean);
  NoGrad guard;
  const Tensor x0 = a.to(inner);
  const Tensor x1 = b.to(inner);
  detail::dispatch_compute(inner, [&]<class T>() { detail::map2_into<T, bool>(x0, x1, y, f); });
  return y;
}

template <class F>
Tensor compare(const char* op, const Tensor& a, const Tensor& b, F f) {
  return compare(op, a, b, detail::compute_dtype(detail::result_dtype(a, b)), f);
}

}  // namespace

Tensor eq(const Tensor& a, const Tensor& b) {
  return compare("eq", a, b, [](auto x, auto y) { return x == y; });
}
Tensor ne(const Tensor& a, const Tensor& b) {
  return compare("ne", a, b, [](auto x, auto y) { return x != y; });
}
Tensor lt(const Tensor& a, const Tensor& b) {
  return compare("lt", a, b, [](auto x, auto y) { return x < y; });
}
Tensor le(const Tensor& a, const Tensor& b) {
  return compare("le", a, b, [](auto x, auto y) { return x <= y; });
}
Tensor gt(const Tensor& a, const Tensor& b) {
  return compare("gt", a, b, [](auto x, auto y) { return x > y; });
}
Tensor ge(const Tensor& a, const Tensor& b) {
  return compare("ge", a, b, [](auto x, auto y) { return x >= y; });
}

Tensor logical_and(const Tensor& a, const Tensor& b) {
  return compare("logical_and", a, b, Dtype::boolean, [](bool x, bool y) { return x && y; });
}
Tensor logical_or(const Tensor& a, const Tensor& b) {
  return compare("logical_or", a, b, Dtype::boolean, [](bool x, bool y) { return x || y; });
}

}  // namespace coppice
