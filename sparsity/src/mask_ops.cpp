#include "coppice/sparsity/mask_ops.h"

#include <algorithm>

#include "coppice/engine/create.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kGrain = 1 << 16;  // elements of one task: 20 µs

/// A mask of the shape of `like` from one value per slice along `dim`.
Tensor spread(const Tensor& slices, const Tensor& like, std::int64_t dim) {
  Tensor mask = Tensor::empty(like.shape(), like.dtype());
  if (mask.numel() == 0) return mask;
  std::int64_t inner = 1;
  for (std::int64_t i = dim + 1; i < like.dim(); ++i) inner *= like.size(i);
  const auto keep = slices.to_vector<float>();
  const std::int64_t units = like.size(dim), period = units * inner;
  dispatch(like.dtype(), [&]<class T>() {
    const T one = convert<T>(1.0);
    T* const to = mask.mutable_data<T>().data();
    parallel_for(units, 1 + kGrain / inner, [&](Rows rows) {  // the first period
      for (std::int64_t r = rows.begin; r < rows.end; ++r)
        std::fill_n(to + r * inner, inner, keep[static_cast<std::size_t>(r)] != 0 ? one : T{});
    });
    parallel_for(like.numel() / period - 1, 1 + kGrain / period, [&](Rows rows) {  // repeated
      for (std::int64_t r = rows.begin; r < rows.end; ++r) std::copy_n(to, period, to + (r + 1) * period);
    });
  });
  return mask;
}

std::int64_t structured_axis(const char* op, const Tensor& t, std::int64_t dim) {
  if (t.dim() < 2) throw ShapeError(cat("[", op, "] structured pruning needs at least 2 axes; got shape ", t.shape()));
  return resolve_axis(op, dim, t.dim());
}

}  // namespace

Tensor mask_smallest(const Tensor& scores, std::int64_t count, TieRule ties) {
  return select_masks({scores}, {.count = count, .ties = ties})[0];
}

Tensor mask_random(const Tensor& like, std::int64_t count, Generator& generator, TieRule ties) {
  const Tensor draws = rand(like.shape(), is_floating(like.dtype()) ? like.dtype() : Dtype::f32, &generator);
  return select_masks({draws}, {.count = count, .magnitude = false, .largest = true, .ties = ties}, {},
                      like.dtype())[0];
}

Tensor channel_norms(const Tensor& t, NormOrder order, std::int64_t dim) {
  const std::int64_t kept = resolve_axis("channel_norms", dim, t.dim());
  Axes axes;
  for (std::int64_t i = 0; i < t.dim(); ++i)
    if (i != kept) axes.push_back(i);
  return norm(t, order, axes);
}

Tensor mask_channels(const Tensor& like, const Tensor& scores, std::int64_t count, std::int64_t dim, TieRule ties) {
  const std::int64_t axis = structured_axis("mask_channels", like, dim);
  const std::int64_t units = like.size(axis);
  if (scores.shape() != Shape{units})
    throw ShapeError(cat("[mask_channels] scores must be (", units, ",) for axis ", dim, " of ", like.shape(), "; got ",
                         scores.shape()));
  if (count < 0 || count > units)
    throw ValueError(cat("[mask_channels] cannot prune ", count, " of ", units, " slices along axis ", dim));
  if (ties == TieRule::lowest_index)
    return spread(select_masks({scores}, {.count = count, .magnitude = false, .ties = ties})[0], like, axis);
  const Selected kept = topk(scores, units - count, -1, true, ties);
  Tensor slices = zeros({units});
  for (const std::int64_t i : kept.indices.to_vector<std::int64_t>()) slices.set_({i}, 1);
  return spread(slices, like, axis);
}

Tensor mask_random_channels(const Tensor& like, std::int64_t count, std::int64_t dim, Generator& generator,
                            TieRule ties) {
  const std::int64_t axis = structured_axis("mask_random_channels", like, dim);
  const std::int64_t units = like.size(axis);
  if (count < 0 || count > units)
    throw ValueError(cat("[mask_random_channels] cannot prune ", count, " of ", units, " slices along axis ", dim));
  if (count == 0) return ones_like(like);
  if (like.numel() == 0) return zeros_like(like);  // a shape of a few bytes may claim billions of empty slices
  const Tensor draws = rand({units}, Dtype::f32, &generator);
  if (ties == TieRule::lowest_index)
    return spread(select_masks({draws}, {.count = count, .magnitude = false, .ties = ties})[0], like, axis);
  const float threshold = kthvalue(draws, count).values.item<float>();
  Tensor slices = zeros({units});
  for (std::int64_t i = 0; i < units; ++i)
    if (draws.at({i}) > threshold) slices.set_({i}, 1);
  return spread(slices, like, axis);
}

double sparsity_of(const Tensor& t) {
  if (t.numel() == 0) return 0;
  return 1 - static_cast<double>(count_nonzero(t)) / static_cast<double>(t.numel());
}

}  // namespace coppice::sparsity
