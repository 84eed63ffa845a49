#include "coppice/engine/create.h"

#include <cmath>
#include <cstring>

#include "coppice/engine/random.h"

namespace coppice {

Tensor zeros(const Shape& shape, Dtype dtype) {
  Tensor t = Tensor::empty(shape, dtype);
  std::memset(t.mutable_bytes(), 0, t.nbytes());
  return t;
}
Tensor ones(const Shape& shape, Dtype dtype) { return full(shape, 1, dtype); }
Tensor full(const Shape& shape, double value, Dtype dtype) { return Tensor::empty(shape, dtype).fill_(value); }
Tensor zeros_like(const Tensor& t) { return zeros(t.shape(), t.dtype()); }
Tensor ones_like(const Tensor& t) { return ones(t.shape(), t.dtype()); }

Tensor arange(double start, double end, double step, Dtype dtype) {
  if (step == 0 || !std::isfinite(start + end + step) || (end - start) / step < 0)
    throw ValueError(cat("[arange] cannot go from ", start, " to ", end, " by ", step));
  const double length = std::ceil((end - start) / step);
  if (length >= 0x1p63)
    throw ValueError(cat("[arange] from ", start, " to ", end, " by ", step, " are too many numbers"));
  const auto n = static_cast<std::int64_t>(length);
  Tensor t = Tensor::empty({n}, dtype);
  dispatch(dtype, [&]<class T>() {
    const auto y = t.mutable_data<T>();
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = convert<T>(start + static_cast<double>(i) * step);
  });
  return t;
}

Tensor eye(std::int64_t n, Dtype dtype) {
  Tensor t = zeros({n, n}, dtype);
  for (std::int64_t i = 0; i < n; ++i) t.set_({i, i}, 1);
  return t;
}

namespace {
Generator& pick(Generator* generator) { return generator != nullptr ? *generator : default_generator(); }

template <class F>
Tensor random_floats(const char* op, const Shape& shape, Dtype dtype, F fill) {
  if (!is_floating(dtype)) throw DtypeError(cat("[", op, "] needs a floating type; got ", dtype));
  Tensor t = Tensor::empty(shape, dtype);
  dispatch(dtype, [&]<class T>() {
    if constexpr (std::is_floating_point_v<T> || std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
      fill(t.mutable_data<T>());
  });
  return t;
}
}  // namespace

Tensor rand(const Shape& shape, Dtype dtype, Generator* generator) {
  return random_floats("rand", shape, dtype, [&](auto out) { pick(generator).uniform(out); });
}

Tensor randn(const Shape& shape, Dtype dtype, Generator* generator) {
  return random_floats("randn", shape, dtype, [&](auto out) { pick(generator).normal(out); });
}

Tensor randint(std::int64_t low, std::int64_t high, const Shape& shape, Dtype dtype, Generator* generator) {
  if (low >= high) throw ValueError(cat("[randint] needs low < high; got ", low, " and ", high));
  Tensor t = Tensor::empty(shape, Dtype::i64);
  pick(generator).integers(t.mutable_data<std::int64_t>(), low, high);
  return t.to(dtype);
}

Tensor randperm(std::int64_t n, Generator* generator) {
  if (n < 0) throw ValueError(cat("[randperm] n must be at least 0; got ", n));
  return Tensor::from(pick(generator).permutation(n), Shape{n});
}

}  // namespace coppice
