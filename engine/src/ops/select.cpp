#include "coppice/engine/ops/select.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/shape_ops.h"
#include "ops/map.h"
#include "ops/op_rows.h"
#include "select/select.h"

namespace coppice {
namespace {

/// NaN ranks above every number.
template <class T>
bool less(T a, T b) {
  return a < b || (b != b && a == a);
}

/// `t` with `axis` last, as lines of neighbours; the reverse is done by place().
struct Lines {
  Tensor source;  // [lines, size]
  Shape shape;    // with the axis last
  std::int64_t axis, rank, size;

  Lines(const char* op, const Tensor& t, std::int64_t wanted)
      : axis(resolve_axis(op, wanted, t.dim())), rank(t.dim()), size(t.dim() == 0 ? 1 : t.size(axis)) {
    const Tensor plain = t.detach().to(detail::compute_dtype(t.dtype()));
    const Tensor moved = rank < 2 || axis == rank - 1 ? plain : transpose_to_end(plain);
    shape = moved.shape();
    source = moved.reshape(Shape{size == 0 ? 0 : t.numel() / size, size});
  }

  [[nodiscard]] Tensor transpose_to_end(const Tensor& t) const {
    std::vector<std::int64_t> order;
    for (std::int64_t i = 0; i < rank; ++i)
      if (i != axis) order.push_back(i);
    order.push_back(axis);
    return permute(t, order);
  }

  /// [lines, k] back to the place of the axis.
  [[nodiscard]] Tensor place(const Tensor& t, std::int64_t k) const {
    if (rank == 0) return t.reshape(Shape{});
    std::vector<std::int64_t> sizes(shape.begin(), shape.end());
    sizes.back() = k;
    const Tensor y = t.reshape(Shape(sizes));
    if (axis == rank - 1) return y;
    std::vector<std::int64_t> order(static_cast<std::size_t>(rank));
    for (std::int64_t i = 0; i < rank; ++i) order[static_cast<std::size_t>(i)] = i < axis ? i : i - 1;
    order[static_cast<std::size_t>(axis)] = rank - 1;
    return permute(y, order);
  }
};

/// For each line writes `k` positions chosen by `pick(line, positions of all)`, and their values.
template <class F>
Selected choose(const Lines& lines, std::int64_t k, Dtype dtype, F pick) {
  const std::int64_t count = lines.source.size(0);
  Tensor values = Tensor::empty({count, k}, lines.source.dtype());
  Tensor indices = Tensor::empty({count, k}, Dtype::i64);
  std::int64_t* at = indices.mutable_data<std::int64_t>().data();
  detail::dispatch_compute(lines.source.dtype(), [&]<class T>() {
    const T* from = lines.source.data<T>().data();
    T* to = values.mutable_data<T>().data();
    parallel_for(count, 1 + (1 << 12) / (lines.size + 1), [&](Rows rows) {
      for (std::int64_t r = rows.begin; r < rows.end; ++r) {
        const T* line = from + r * lines.size;
        const std::vector<std::int64_t> chosen = pick(line, r);
        for (std::int64_t i = 0; i < k; ++i) {
          at[r * k + i] = chosen[static_cast<std::size_t>(i)];
          to[r * k + i] = line[chosen[static_cast<std::size_t>(i)]];
        }
      }
    });
  });
  return {lines.place(values, k).to(dtype), lines.place(indices, k)};
}

/// 0 .. n-1 with the first `k` in their final order.
template <class T>
std::vector<std::int64_t> ordered(const T* line, std::int64_t n, std::int64_t k, bool descending) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + k, order.end(), [=](std::int64_t a, std::int64_t b) {
    const bool before = descending ? less(line[b], line[a]) : less(line[a], line[b]);
    const bool after = descending ? less(line[a], line[b]) : less(line[b], line[a]);
    return before || (!after && a < b);
  });
  return order;
}

constexpr std::array<std::string_view, 2> kTies{"lowest_index", "pytorch"};

TieRule ties_from(rows::With a) {
  return a.has("ties") ? rows::word<TieRule>(a, "ties", kTies, "topk") : default_tie_rule();
}

constexpr AttributeRow kTopk[] = {{"k", AttributeKind::integer},
                                  {"dim", AttributeKind::integer, std::int64_t{-1}},
                                  {"largest", AttributeKind::boolean, true},
                                  {"ties", AttributeKind::text, Absent{}}};
constexpr AttributeRow kKthvalue[] = {{"k", AttributeKind::integer}, {"dim", AttributeKind::integer, std::int64_t{-1}}};
constexpr AttributeRow kSort[] = {{"dim", AttributeKind::integer, std::int64_t{-1}},
                                  {"descending", AttributeKind::boolean, false}};
TensorList listed(const Selected& s) { return {s.values, s.indices}; }
TensorList topk_from(rows::In in, rows::With a) {
  return listed(topk(in[0], a.integer("k"), a.integer("dim"), a.boolean("largest"), ties_from(a)));
}
TensorList kthvalue_from(rows::In in, rows::With a) {
  return listed(kthvalue(in[0], a.integer("k"), a.integer("dim")));
}
TensorList sort_from(rows::In in, rows::With a) {
  return listed(sort(in[0], a.integer("dim"), a.boolean("descending")));
}

// name, PyTorch, ONNX, inputs, attributes, flags, call. Results: values, indices.
constexpr OpRow kTopkRow = rows::row("topk", "torch.topk", "TopK", "input", kTopk, OpFlags::none, topk_from);
constexpr OpRow kKthvalueRow =
    rows::row("kthvalue", "torch.kthvalue", "", "input", kKthvalue, OpFlags::none, kthvalue_from);
constexpr OpRow kSortRow = rows::row("sort", "torch.sort", "", "input", kSort, OpFlags::none, sort_from);

}  // namespace

rows::Rows rows::select() {
  static constexpr const OpRow* kRows[] = {&kTopkRow, &kKthvalueRow, &kSortRow};
  return kRows;
}

Selected topk(const Tensor& t, std::int64_t k, std::int64_t axis, bool largest, TieRule ties) {
  const Op op(kTopkRow, [=](Arguments& a) {
    a.set("k", k);
    a.set("dim", axis);
    a.set("largest", largest);
    a.set("ties", std::string(kTies[static_cast<std::size_t>(ties)]));
  });
  const Lines lines("topk", t, axis);
  if (k < 0 || k > lines.size)
    throw ValueError(cat("[topk] k must be in 0..", lines.size, " for axis ", axis, " of ", t.shape(), "; got ", k));
  const Selected best = choose(lines, k, t.dtype(), [&]<class T>(const T* line, std::int64_t) {
    if (ties == TieRule::lowest_index) return ordered(line, lines.size, k, largest);
    const selection::Scores scores{line, dtype_of<T>, lines.size};
    return selection::pytorch_topk({&scores, 1}, k, {.magnitude = false, .largest = largest});
  });
  op.results({best.values, best.indices}, {t});
  return best;
}

Selected kthvalue(const Tensor& t, std::int64_t k, std::int64_t axis) {
  const Op op(kKthvalueRow, [=](Arguments& a) {
    a.set("k", k);
    a.set("dim", axis);
  });
  const Lines lines("kthvalue", t, axis);
  if (k < 1 || k > lines.size)
    throw ValueError(
        cat("[kthvalue] k must be in 1..", lines.size, " for axis ", axis, " of ", t.shape(), "; got ", k));
  Selected found = choose(lines, 1, t.dtype(), [&]<class T>(const T* line, std::int64_t) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(lines.size));
    std::iota(order.begin(), order.end(), 0);
    std::ranges::nth_element(order, order.begin() + (k - 1), [=](std::int64_t a, std::int64_t b) {
      return less(line[a], line[b]) || (!less(line[b], line[a]) && a < b);
    });
    return std::vector<std::int64_t>{order[static_cast<std::size_t>(k - 1)]};
  });
  if (t.dim() > 0) found = {select(found.values, lines.axis, 0), select(found.indices, lines.axis, 0)};
  op.results({found.values, found.indices}, {t});
  return found;
}

Selected sort(const Tensor& t, std::int64_t axis, bool descending) {
  const Op op(kSortRow, [=](Arguments& a) {
    a.set("dim", axis);
    a.set("descending", descending);
  });
  const Lines lines("sort", t, axis);
  const Selected all = choose(lines, lines.size, t.dtype(), [&]<class T>(const T* line, std::int64_t) {
    return ordered(line, lines.size, lines.size, descending);
  });
  op.results({all.values, all.indices}, {t});
  return all;
}

TensorList select_masks(const TensorList& scores, const MaskRequest& request, const TensorList& eligible,
                        std::optional<Dtype> dtype) {
  TensorList masks;
  for (const Tensor& s : scores) masks.push_back(Tensor::empty(s.shape(), dtype.value_or(s.dtype())));
  select_masks_(masks, scores, request, eligible);
  return masks;
}

namespace {

std::vector<selection::Scores> ranked(const TensorList& scores) {
  std::vector<selection::Scores> out;
  for (const Tensor& s : scores) out.push_back({s.bytes(), s.dtype(), s.numel()});
  return out;
}

void check_sizes(const char* op, const TensorList& written, const TensorList& scores) {
  if (written.size() != scores.size())
    throw ShapeError(cat("[", op, "] ", scores.size(), " tensors of scores for ", written.size()));
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (written[i].numel() != scores[i].numel())
      throw ShapeError(cat("[", op, "] scores ", scores[i].shape(), " for a tensor of shape ", written[i].shape()));
}

void write(std::span<const selection::Scores> in, const TensorList& out, const MaskRequest& r, bool in_place) {
  std::vector<selection::MaskOut> to;
  for (const Tensor& t : out) to.push_back({t.storage()->data() + t.storage_offset(), t.dtype(), in_place});
  selection::select_masks(in, r.count, {r.magnitude, r.largest}, r.ties, to);
  for (const Tensor& t : out) t.storage()->bump_version();
}

}  // namespace

void select_masks_(TensorList masks, const TensorList& scores, const MaskRequest& request, const TensorList& eligible) {
  check_sizes("select_masks", masks, scores);
  if (!eligible.empty() && eligible.size() != scores.size())
    throw ShapeError(cat("[select_masks] ", scores.size(), " tensors of scores and ", eligible.size(), " masks"));
  std::vector<selection::Scores> in = ranked(scores);
  for (std::size_t i = 0; i < eligible.size(); ++i) {
    if (!eligible[i].defined()) continue;
    if (eligible[i].shape() != scores[i].shape())
      throw ShapeError(cat("[select_masks] mask ", eligible[i].shape(), " for scores of shape ", scores[i].shape()));
    in[i].eligible = eligible[i].bytes();
    in[i].eligible_dtype = eligible[i].dtype();
  }
  write(in, masks, request, false);
}

void zero_selected_(TensorList tensors, const MaskRequest& request, const TensorList& scores) {
  for (const Tensor& t : tensors)
    if (grad_enabled() && t.requires_grad())
      throw StateError("[zero_selected_] a tensor that requires grad is written in place; do it under NoGrad");
  if (!scores.empty()) check_sizes("zero_selected_", tensors, scores);
  write(ranked(scores.empty() ? tensors : scores), tensors, request, true);
}

}  // namespace coppice
