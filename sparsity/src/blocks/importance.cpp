#include "blocks/importance.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace coppice::sparsity {
namespace {

template <class T, class Real>
Real round_to(Real x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return convert<Real>(convert<T>(x));
  else
    return x;
}

/// Calls f with the function from an entry to its importance.
template <class T, class Real, class F>
void with_norm(Importance::Of of, F f) {
  switch (of) {
    case Importance::Of::value: return f([](Real x) { return x; });
    case Importance::Of::magnitude: return f([](Real x) { return std::abs(x); });
    case Importance::Of::square: return f([](Real x) { return round_to<T>(x * x); });
  }
}

bool all_ones(const Tensor& mask) {
  if (mask.dtype() == Dtype::boolean)
    return std::memchr(mask.bytes(), 0, static_cast<std::size_t>(mask.numel())) == nullptr;
  return dispatch(mask.dtype(), [&]<class M>() {
    return std::ranges::all_of(mask.data<M>(), [](M m) { return convert<double>(m) == 1; });
  });
}

}  // namespace

Importance::Importance(Tensor values, Tensor mask, Of of)
    : values_(std::move(values)), mask_(std::move(mask)), of_(of) {
  if (values_.dim() < 2)
    throw ShapeError(cat("[sparsifier] blocks need a tensor of at least 2 axes; got shape ", values_.shape()));
  cols_ = values_.size(0) == 0 ? 0 : values_.numel() / values_.size(0);
  if (mask_.defined() && all_ones(mask_)) mask_ = Tensor();
}

bool Importance::in_double() const {
  const Dtype type = values_.dtype();
  return type != Dtype::f32 && type != Dtype::f16 && type != Dtype::bf16;
}

template <class Real>
void Importance::read(std::int64_t first, std::span<Real> to) const {
  const std::size_t n = to.size();
  Real* const out = to.data();
  if constexpr (std::is_same_v<Real, float>)
    if (values_.dtype() == Dtype::f32 && (!mask_.defined() || mask_.dtype() == Dtype::boolean)) {
      const auto* const mask = mask_.defined() ? reinterpret_cast<const std::uint8_t*>(mask_.bytes()) + first : nullptr;
      const float* const x = values_.data<float>().data() + first;
      return kernels::blocks_in_use().importance(x, mask, static_cast<std::int64_t>(n), of_, out);
    }
  dispatch(values_.dtype(), [&]<class T>() {
    const T* const x = values_.data<T>().data() + first;
    with_norm<T, Real>(of_, [&](auto norm) {
      if (!mask_.defined()) {
        for (std::size_t i = 0; i < n; ++i) out[i] = norm(convert<Real>(x[i]));
        return;
      }
      dispatch(mask_.dtype(), [&]<class M>() {
        const M* const m = mask_.data<M>().data() + first;
        for (std::size_t i = 0; i < n; ++i) out[i] = norm(round_to<T>(convert<Real>(x[i]) * convert<Real>(m[i])));
      });
    });
  });
}
template void Importance::read(std::int64_t, std::span<float>) const;
template void Importance::read(std::int64_t, std::span<double>) const;

bool Importance::add(std::int64_t first, std::int64_t n, std::int64_t width, float* sums) const {
  if (values_.dtype() != Dtype::f32 || mask_.defined()) return false;
  kernels::blocks_in_use().add_importance(values_.data<float>().data() + first, n, of_, width, sums);
  return true;
}

void Importance::prefetch(std::int64_t first, std::int64_t n) const {
  constexpr std::int64_t line = 64;
  const auto lines = [](const Tensor& t, std::int64_t begin, std::int64_t count) {
    const auto size = static_cast<std::int64_t>(itemsize(t.dtype()));
    for (std::int64_t b = begin * size; b < (begin + count) * size; b += line) __builtin_prefetch(t.bytes() + b);
  };
  lines(values_, first, n);
  if (mask_.defined()) lines(mask_, first, n);
}

template <class Real>
void Importance::round(std::span<Real> scores) const {
  if (values_.dtype() != Dtype::f16 && values_.dtype() != Dtype::bf16) return;
  dispatch(values_.dtype(), [&]<class T>() {
    for (Real& s : scores) s = round_to<T>(s);
  });
}
template void Importance::round(std::span<float>) const;
template void Importance::round(std::span<double>) const;

const float* Importance::in_place() const {
  const bool as_it_is = values_.dtype() == Dtype::f32 && !mask_.defined() && of_ != Of::square;
  return as_it_is ? values_.data<float>().data() : nullptr;
}

Importance Importance::magnitudes() const {
  Importance out = *this;
  out.of_ = Of::magnitude;
  return out;
}

}  // namespace coppice::sparsity
