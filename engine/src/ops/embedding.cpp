#include "coppice/engine/ops/embedding.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/shape_ops.h"

namespace coppice {
namespace {

/// Lets values through; rows of the gradient that belong to `row` become 0.
Tensor without_gradient_of(const Tensor& rows, const std::vector<std::int64_t>& index, std::int64_t row) {
  return with_grad(rows.detach(), {rows}, [index, row](const Tensor& dy) {
    Tensor dx = dy.clone();
    for (std::size_t i = 0; i < index.size(); ++i)
      if (index[i] == row) narrow(dx, 0, static_cast<std::int64_t>(i), 1).fill_(0);
    return GradList{dx};
  });
}

}  // namespace

Tensor embedding(const Tensor& weight, const Tensor& index, std::optional<std::int64_t> padding_idx) {
  if (weight.dim() != 2) throw ShapeError(cat("[embedding] weight must be [n, d]; got ", weight.shape()));
  Tensor rows = index_select(weight, 0, index.reshape(Shape{index.numel()}));
  if (padding_idx && needs_grad({weight}))
    rows = without_gradient_of(rows, index.to_vector<std::int64_t>(), *padding_idx);
  std::vector<std::int64_t> sizes(index.shape().begin(), index.shape().end());
  sizes.push_back(weight.size(1));
  return rows.reshape(Shape(std::move(sizes)));
}

Tensor embedding_bag(const Tensor& weight, const Tensor& index, const Tensor& offsets, BagMode mode,
                     std::optional<std::int64_t> padding_idx) {
  if (weight.dim() != 2 || index.dim() != 1 || offsets.dim() != 1)
    throw ShapeError(cat("[embedding_bag] needs weight: [n, d], index: [k], offsets: [bags]; got ", weight.shape(),
                         ", ", index.shape(), " and ", offsets.shape()));
  const auto starts = offsets.to_vector<std::int64_t>();
  const auto wanted = index.to_vector<std::int64_t>();
  const auto k = static_cast<std::int64_t>(wanted.size());
  if (starts.empty() ? k > 0 : starts[0] != 0)
    throw ValueError("[embedding_bag] the first offset must be 0");
  TensorList bags;
  for (std::size_t b = 0; b < starts.size(); ++b) {
    const std::int64_t end = b + 1 < starts.size() ? starts[b + 1] : k;
    if (end < starts[b] || end > k)
      throw ValueError(cat("[embedding_bag] offsets must not decrease nor exceed ", k, "; got ", starts[b], " and ",
                           end));
    std::vector<std::int64_t> members;
    for (std::int64_t i = starts[b]; i < end; ++i)
      if (!padding_idx || wanted[static_cast<std::size_t>(i)] != *padding_idx)
        members.push_back(wanted[static_cast<std::size_t>(i)]);
    if (members.empty()) {
      bags.push_back(zeros({weight.size(1)}, weight.dtype()));
      continue;
    }
    const auto count = static_cast<std::int64_t>(members.size());
    const Tensor rows = index_select(weight, 0, Tensor::from(members, Shape{count}));
    bags.push_back(mode == BagMode::sum ? sum(rows, {0}) : mode == BagMode::mean ? mean(rows, {0}) : max(rows, {0}));
  }
  return bags.empty() ? zeros({0, weight.size(1)}, weight.dtype()) : stack(bags);
}

}  // namespace coppice
