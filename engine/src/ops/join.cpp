// Joining tensors along an axis, and taking them apart.
#include <algorithm>
#include <numeric>
#include <utility>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/quantized.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/engine/quantized_tensor.h"
#include "ops/axis_view.h"
#include "ops/op_rows.h"
#include "quant/integers.h"

namespace coppice {
namespace {

using detail::copy_rows;
using detail::existing_axis;
using detail::with_size;

constexpr AttributeRow kAxisOrFirst[] = {{"dim", AttributeKind::integer, std::int64_t{0}}};
constexpr AttributeRow kSplit[] = {{"split_size", AttributeKind::integer, Absent{}},
                                   {"sections", AttributeKind::integers, Absent{}},
                                   {"dim", AttributeKind::integer, std::int64_t{0}}};

TensorList split_from(rows::In in, rows::With a) {
  if (a.has("split_size") == a.has("sections"))
    throw ValueError("[split] needs the attribute 'split_size' or 'sections', and not both");
  if (a.has("sections")) return split(in[0], a.integers("sections"), a.integer("dim"));
  return split(in[0], a.integer("split_size"), a.integer("dim"));
}

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpFlags kFlags = OpFlags::differentiable | OpFlags::zero_to_zero;
constexpr OpRow kCatRow =
    rows::row("cat", "torch.cat", "Concat", "tensors...", kAxisOrFirst, kFlags,
              [](rows::In in, rows::With a) { return TensorList{cat_tensors(in, a.integer("dim"))}; });
constexpr OpRow kStackRow =
    rows::row("stack", "torch.stack", "", "tensors...", kAxisOrFirst, kFlags,
              [](rows::In in, rows::With a) { return TensorList{stack(in, a.integer("dim"))}; });
constexpr OpRow kSplitRow = rows::row("split", "torch.split", "Split", "input", kSplit, kFlags, split_from);

/// Shape and type of what cat() of `parts` gives.
std::pair<Shape, Dtype> joined(const TensorList& parts, std::int64_t axis) {
  std::int64_t total = 0;
  Dtype dtype = parts[0].dtype();
  for (const Tensor& part : parts) {
    if (part.dim() != parts[0].dim() || with_size(part.shape(), axis, 0) != with_size(parts[0].shape(), axis, 0))
      throw ShapeError(cat("[cat] ", part.shape(), " and ", parts[0].shape(), " differ beside axis ", axis));
    total += part.size(axis);
    dtype = promote(dtype, part.dtype());
  }
  return {with_size(parts[0].shape(), axis, total), dtype};
}

/// The gradient of cat(): cut into parts of the sizes and types that were joined.
auto cut_again(const TensorList& parts, std::int64_t axis) {
  std::vector<std::int64_t> sizes;
  std::vector<Dtype> dtypes;
  for (const Tensor& part : parts) {
    sizes.push_back(part.size(axis));
    dtypes.push_back(part.dtype());
  }
  return [axis, sizes, dtypes](const Tensor& dy) {
    GradList gradients = split(dy, sizes, axis);
    for (std::size_t i = 0; i < gradients.size(); ++i)
      gradients[i] = is_floating(dtypes[i]) ? gradients[i].to(dtypes[i]) : Tensor();
    return gradients;
  };
}

/// Quantised tensors of one type, with the parameters of the first: integers where all have them, else values.
Tensor joined_quantized(const TensorList& parts, std::int64_t axis) {
  const Tensor& first = parts[0];
  bool same = true;
  TensorList all;
  for (const Tensor& part : parts) {
    if (part.dtype() != first.dtype())
      throw DtypeError(cat("[cat] ", first.dtype(), " and ", part.dtype(), " tensors are not joined"));
    all.push_back(quant::integers("cat", part));
    same = same && *part.qparams() == *first.qparams();
  }
  if (same) return quant::quantized_over(cat_tensors(all, axis), first.dtype(), first.qparams());
  for (std::size_t i = 0; i < parts.size(); ++i) all[i] = dequantize(parts[i]);
  return quantize_like(cat_tensors(all, axis), first);
}

}  // namespace

rows::Rows rows::join() {
  static constexpr const OpRow* kRows[] = {&kCatRow, &kStackRow, &kSplitRow};
  return kRows;
}

Tensor cat_tensors(const TensorList& parts, std::int64_t axis) {
  if (parts.empty()) throw ValueError("[cat] there is nothing to join");
  const Op op(kCatRow, [given = axis](Arguments& a) { a.set("dim", given); });
  axis = existing_axis("cat", parts[0], axis);
  if (parts[0].is_quantized()) return op.result(joined_quantized(parts, axis), parts);
  const auto [shape, dtype] = joined(parts, axis);
  Tensor y = Tensor::empty(shape, dtype);
  std::int64_t at = 0;
  for (const Tensor& part : parts) {
    copy_rows(part.detach().to(dtype), 0, y, at, part.size(axis), axis);
    at += part.size(axis);
  }
  return op.with_grad(std::move(y), parts, [&] { return cut_again(parts, axis); });
}

Tensor stack(const TensorList& parts, std::int64_t axis) {
  if (parts.empty()) throw ValueError("[stack] there is nothing to stack");
  const Op op(kStackRow, [given = axis](Arguments& a) { a.set("dim", given); });
  axis = resolve_axis("stack", axis, parts[0].dim() + 1);
  TensorList raised;
  for (const Tensor& part : parts) {
    if (part.shape() != parts[0].shape())
      throw ShapeError(cat("[stack] shapes ", part.shape(), " and ", parts[0].shape(), " differ"));
    std::vector<std::int64_t> sizes(part.shape().begin(), part.shape().end());
    sizes.insert(sizes.begin() + axis, 1);
    raised.push_back(part.reshape(Shape(std::move(sizes))));
  }
  return op.result(cat_tensors(raised, axis), parts);
}

TensorList split(const Tensor& t, const std::vector<std::int64_t>& sizes, std::int64_t axis) {
  const Op op(kSplitRow, [&sizes, given = axis](Arguments& a) {
    a.set("sections", sizes);
    a.set("dim", given);
  });
  axis = existing_axis("split", t, axis);
  if (std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}) != t.size(axis))
    throw ShapeError(cat("[split] the sizes do not add up to ", t.size(axis), ", axis ", axis, " of ", t.shape()));
  TensorList parts;
  std::int64_t at = 0;
  for (const std::int64_t size : sizes) {
    parts.push_back(narrow(t, axis, at, size));
    at += size;
  }
  op.results(parts, {t});
  return parts;
}

TensorList split(const Tensor& t, std::int64_t size, std::int64_t axis) {
  const Op op(kSplitRow, [=, given = axis](Arguments& a) {
    a.set("split_size", size);
    a.set("dim", given);
  });
  axis = existing_axis("split", t, axis);
  if (size < 1) throw ValueError(cat("[split] size must be at least 1; got ", size));
  std::vector<std::int64_t> sizes;
  for (std::int64_t left = t.size(axis); left > 0; left -= size) sizes.push_back(std::min(size, left));
  if (sizes.empty()) sizes.push_back(0);
  TensorList parts = split(t, sizes, axis);
  op.results(parts, {t});
  return parts;
}

}  // namespace coppice
