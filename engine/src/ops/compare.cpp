// Comparisons and logic: bool results, no gradients.
#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/quantized.h"
#include "ops/map.h"
#include "ops/op_rows.h"

namespace coppice {
namespace {

template <class F>
Tensor compare(const char* op, const Tensor& a, const Tensor& b, Dtype inner, F f) {
  Tensor y = Tensor::empty(broadcast(op, a.shape(), b.shape()), Dtype::boolean);
  NoGrad guard;
  const Tensor x0 = a.to(inner);
  const Tensor x1 = b.to(inner);
  detail::dispatch_compute(inner, [&]<class T>() { detail::map2_into<T, bool>(x0, x1, y, f); });
  return y;
}

template <class F>
Tensor compare(const char* op, const Tensor& a, const Tensor& b, F f) {
  return compare(op, a, b, detail::compute_dtype(detail::result_dtype(a, b)), f);
}

constexpr OpFlags kFlags = OpFlags::elementwise;

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpRow kEqRow = rows::row("eq", "torch.eq|operator.eq", "Equal", "input other", {}, kFlags, rows::kTwo<eq>);
constexpr OpRow kNeRow =
    rows::row("ne", "torch.ne|operator.ne", "", "input other", {}, kFlags | OpFlags::zero_to_zero, rows::kTwo<ne>);
constexpr OpRow kLtRow =
    rows::row("lt", "torch.lt|operator.lt", "Less", "input other", {}, kFlags | OpFlags::zero_to_zero, rows::kTwo<lt>);
constexpr OpRow kLeRow =
    rows::row("le", "torch.le|operator.le", "LessOrEqual", "input other", {}, kFlags, rows::kTwo<le>);
constexpr OpRow kGtRow = rows::row("gt", "torch.gt|operator.gt", "Greater", "input other", {},
                                   kFlags | OpFlags::zero_to_zero, rows::kTwo<gt>);
constexpr OpRow kGeRow =
    rows::row("ge", "torch.ge|operator.ge", "GreaterOrEqual", "input other", {}, kFlags, rows::kTwo<ge>);
constexpr OpRow kAndRow = rows::row("logical_and", "torch.logical_and", "And", "input other", {},
                                    kFlags | OpFlags::zero_to_zero, rows::kTwo<logical_and>);
constexpr OpRow kOrRow = rows::row("logical_or", "torch.logical_or", "Or", "input other", {},
                                   kFlags | OpFlags::zero_to_zero, rows::kTwo<logical_or>);
constexpr OpRow kNotRow =
    rows::row("logical_not", "torch.logical_not", "Not", "input", {}, kFlags, rows::kOne<logical_not>);
constexpr OpRow kIsnanRow =
    rows::row("isnan", "torch.isnan", "IsNaN", "input", {}, kFlags | OpFlags::zero_to_zero, rows::kOne<isnan>);

/// f(a, b) as the operation `row`, whose name messages bear.
template <class F>
Tensor compared(const OpRow& row, const Tensor& a, const Tensor& b, F f) {
  const Op op(row);
  if (a.is_quantized() || b.is_quantized())  // values, whose scales may differ
    return op.result(compare(row.name.data(), dequantize(a), dequantize(b), f), {a, b});
  return op.result(compare(row.name.data(), a, b, f), {a, b});
}

}  // namespace

rows::Rows rows::compare() {
  static constexpr const OpRow* kRows[] = {&kEqRow, &kNeRow,  &kLtRow, &kLeRow,  &kGtRow,
                                           &kGeRow, &kAndRow, &kOrRow, &kNotRow, &kIsnanRow};
  return kRows;
}

Tensor eq(const Tensor& a, const Tensor& b) {
  return compared(kEqRow, a, b, [](auto x, auto y) { return x == y; });
}
Tensor ne(const Tensor& a, const Tensor& b) {
  return compared(kNeRow, a, b, [](auto x, auto y) { return x != y; });
}
Tensor lt(const Tensor& a, const Tensor& b) {
  return compared(kLtRow, a, b, [](auto x, auto y) { return x < y; });
}
Tensor le(const Tensor& a, const Tensor& b) {
  return compared(kLeRow, a, b, [](auto x, auto y) { return x <= y; });
}
Tensor gt(const Tensor& a, const Tensor& b) {
  return compared(kGtRow, a, b, [](auto x, auto y) { return x > y; });
}
Tensor ge(const Tensor& a, const Tensor& b) {
  return compared(kGeRow, a, b, [](auto x, auto y) { return x >= y; });
}

Tensor logical_and(const Tensor& a, const Tensor& b) {
  const Op op(kAndRow);
  return op.result(compare("logical_and", a, b, Dtype::boolean, [](bool x, bool y) { return x && y; }), {a, b});
}
Tensor logical_or(const Tensor& a, const Tensor& b) {
  const Op op(kOrRow);
  return op.result(compare("logical_or", a, b, Dtype::boolean, [](bool x, bool y) { return x || y; }), {a, b});
}

Tensor logical_not(const Tensor& a) {
  const Op op(kNotRow);
  Tensor y = Tensor::empty(a.shape(), Dtype::boolean);
  detail::map_into<bool, bool>(a.to(Dtype::boolean), y, [](bool v) { return !v; });
  return op.result(std::move(y), {a});
}

Tensor isnan(const Tensor& a) {
  const Op op(kIsnanRow);
  return op.result(ne(a, a), {a});
}

}  // namespace coppice
