// Equality and closeness of whole tensors.
#include <cmath>
#include <cstring>
#include <limits>

#include "coppice/engine/tensor.h"

namespace coppice {

bool operator==(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  if (a.is_quantized()) return *a.qparams() == *b.qparams() && std::memcmp(a.bytes(), b.bytes(), a.nbytes()) == 0;
  return dispatch(a.dtype(), [&]<class T>() {
    const auto x = a.data<T>();
    const auto y = b.data<T>();
    for (std::size_t i = 0; i < x.size(); ++i) {
      if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
        if (convert<float>(x[i]) != convert<float>(y[i])) return false;
      } else if (x[i] != y[i]) {
        return false;
      }
    }
    return true;
  });
}

Tolerance default_tolerance(Dtype dtype) {
  switch (dtype) {
    case Dtype::f16: return {1e-3, 1e-5};
    case Dtype::bf16: return {1.6e-2, 1e-5};
    case Dtype::f32: return {1.3e-6, 1e-5};
    case Dtype::f64: return {1e-7, 1e-7};
    default: return {0, 0};
  }
}

bool allclose(const Tensor& a, const Tensor& b, std::optional<Tolerance> tolerance) {
  if (a.shape() != b.shape()) return false;
  const Tolerance t = tolerance.value_or(default_tolerance(a.dtype()));
  const auto x = a.to_vector<double>();
  const auto y = b.to_vector<double>();
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] == y[i]) continue;
    if (std::isnan(x[i]) && std::isnan(y[i]) && t.equal_nan) continue;
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) return false;
    if (std::abs(x[i] - y[i]) > t.atol + t.rtol * std::abs(y[i])) return false;
  }
  return true;
}

double max_difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) throw ShapeError(cat("[max_difference] shapes ", a.shape(), " and ", b.shape()));
  const auto x = a.to_vector<double>();
  const auto y = b.to_vector<double>();
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]))) continue;
    const double d = std::abs(x[i] - y[i]);
    worst = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(worst, d);
  }
  return worst;
}

}  // namespace coppice
