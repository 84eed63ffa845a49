#pragma once
/// Operations that move elements and compute nothing, under PyTorch's names. All are differentiable. Those that do not
/// share storage copy what they give, once.

#include <cstdint>
#include <vector>

#include "coppice/engine/tensor.h"

namespace coppice {

/// Swaps two axes (copies). @throws IndexError
[[nodiscard]] Tensor transpose(const Tensor& t, std::int64_t a = -2, std::int64_t b = -1);
/// Axes in a new order (copies). @throws ValueError  unless `axes` is a permutation
[[nodiscard]] Tensor permute(const Tensor& t, const std::vector<std::int64_t>& axes);
/// Axes first .. last joined into one; shares storage. @throws IndexError, ValueError if first > last
[[nodiscard]] Tensor flatten(const Tensor& t, std::int64_t first = 0, std::int64_t last = -1);
/// `length` neighbours from `start` along `axis`. Along the first axis it shares storage, else it copies.
/// @throws IndexError
[[nodiscard]] Tensor narrow(const Tensor& t, std::int64_t axis, std::int64_t start, std::int64_t length);
/// One position of `axis`, which disappears; negative counts from the end. @throws IndexError
[[nodiscard]] Tensor select(const Tensor& t, std::int64_t axis, std::int64_t index);
/// The positions `index` ([n], integers, repeats allowed) of `axis`. @throws IndexError, DtypeError, ShapeError
[[nodiscard]] Tensor index_select(const Tensor& t, std::int64_t axis, const Tensor& index);
/// Joined along `axis`; other sizes equal, types promoted. @throws ValueError if empty; ShapeError
[[nodiscard]] Tensor cat_tensors(const TensorList& parts, std::int64_t axis = 0);
/// The same under PyTorch's name: cat({a, b}, 1). With texts and numbers one by one, `cat` builds a message (error.h).
[[nodiscard]] inline Tensor cat(const TensorList& parts, std::int64_t axis = 0) { return cat_tensors(parts, axis); }
/// Stacked along a new axis. @throws ValueError if empty; ShapeError
[[nodiscard]] Tensor stack(const TensorList& parts, std::int64_t axis = 0);
/// Pieces of `size` along `axis`, the last one shorter where it does not divide. @throws ValueError if size < 1
[[nodiscard]] TensorList split(const Tensor& t, std::int64_t size, std::int64_t axis = 0);
/// Pieces of the given sizes. @throws ShapeError  unless they add up
[[nodiscard]] TensorList split(const Tensor& t, const std::vector<std::int64_t>& sizes, std::int64_t axis = 0);

}  // namespace coppice
