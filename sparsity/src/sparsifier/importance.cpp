#include "sparsifier/importance.h"

#include <cmath>

namespace coppice::sparsity {
namespace {

template <class T, class Real>
Real round_to(Real x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return convert<Real>(convert<T>(x));
  else
    return x;
}

template <class T>
const T* row_of(const Tensor& t, std::int64_t r, std::int64_t cols) {
  return t.data<T>().data() + r * cols;
}

}  // namespace

Importance::Importance(Tensor values, Tensor mask, Of of)
    : values_(std::move(values)), mask_(std::move(mask)), of_(of) {
  if (values_.dim() < 2)
    throw ShapeError(cat("[sparsifier] blocks need a tensor of at least 2 axes; got shape ", values_.shape()));
  cols_ = values_.size(0) == 0 ? 0 : values_.numel() / values_.size(0);
}

Importance::Importance(const Group& group, bool dense, Of of)
    : Importance(dense || group.masked_only() ? group.original() : group.weight(),
                 !dense && group.masked_only() ? group.mask() : Tensor(), of) {}

bool Importance::in_double() const {
  const Dtype type = values_.dtype();
  return type != Dtype::f32 && type != Dtype::f16 && type != Dtype::bf16;
}

template <class Real>
void Importance::row(std::int64_t r, std::span<Real> out) const {
  const std::size_t n = out.size();
  dispatch(values_.dtype(), [&]<class T>() {
    const T* const x = row_of<T>(values_, r, cols_);
    for (std::size_t i = 0; i < n; ++i) out[i] = convert<Real>(x[i]);
    if (mask_.defined())
      dispatch(mask_.dtype(), [&]<class M>() {
        const M* const m = row_of<M>(mask_, r, cols_);
        for (std::size_t i = 0; i < n; ++i) out[i] = round_to<T>(out[i] * convert<Real>(m[i]));
      });
    if (of_ == Of::magnitude)
      for (std::size_t i = 0; i < n; ++i) out[i] = std::abs(out[i]);
    else if (of_ == Of::square)
      for (std::size_t i = 0; i < n; ++i) out[i] = round_to<T>(out[i] * out[i]);
  });
}
template void Importance::row(std::int64_t, std::span<float>) const;
template void Importance::row(std::int64_t, std::span<double>) const;

template <class Real>
Real Importance::rounded(Real score) const {
  return dispatch(values_.dtype(), [&]<class T>() { return round_to<T>(score); });
}
template float Importance::rounded(float) const;
template double Importance::rounded(double) const;

}  // namespace coppice::sparsity
