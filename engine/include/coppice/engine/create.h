#pragma once
/// Tensors from nothing: constants, ranges, random numbers.

#include <cstdint>

#include "coppice/engine/tensor.h"

namespace coppice {

class Generator;

[[nodiscard]] Tensor zeros(const Shape& shape, Dtype dtype = Dtype::f32);
[[nodiscard]] Tensor ones(const Shape& shape, Dtype dtype = Dtype::f32);
[[nodiscard]] Tensor full(const Shape& shape, double value, Dtype dtype = Dtype::f32);
[[nodiscard]] Tensor zeros_like(const Tensor& t);
[[nodiscard]] Tensor ones_like(const Tensor& t);
/// start, start + step, … below `end` (above, for a negative step). @throws ValueError  if step is 0 or points away,
/// or there would be 2^63 numbers or more
[[nodiscard]] Tensor arange(double start, double end, double step = 1, Dtype dtype = Dtype::f32);
[[nodiscard]] Tensor eye(std::int64_t n, Dtype dtype = Dtype::f32);

/// Random tensors draw PyTorch's stream; without a generator they use default_generator().
/// Uniform in [0, 1). @throws DtypeError  unless `dtype` is floating
[[nodiscard]] Tensor rand(const Shape& shape, Dtype dtype = Dtype::f32, Generator* generator = nullptr);
/// Standard normal. @throws DtypeError  unless `dtype` is floating
[[nodiscard]] Tensor randn(const Shape& shape, Dtype dtype = Dtype::f32, Generator* generator = nullptr);
/// Integers in [low, high). @throws ValueError  if low >= high
[[nodiscard]] Tensor randint(std::int64_t low, std::int64_t high, const Shape& shape, Dtype dtype = Dtype::i64,
                             Generator* generator = nullptr);
/// A permutation of 0 .. n-1, int64.
[[nodiscard]] Tensor randperm(std::int64_t n, Generator* generator = nullptr);

}  // namespace coppice
