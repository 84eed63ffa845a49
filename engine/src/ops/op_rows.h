#pragma once
// The rows of each file of operations, in the order of its header. Private to the engine: the table lists them, since
// a static library drops what nobody names.

#include <span>

#include "coppice/engine/ops/op.h"

namespace coppice::rows {

using Rows = std::span<const OpRow* const>;

[[nodiscard]] Rows binary();
[[nodiscard]] Rows unary();
[[nodiscard]] Rows compare();
[[nodiscard]] Rows reduce();
[[nodiscard]] Rows norm();
[[nodiscard]] Rows linalg();
[[nodiscard]] Rows shape();
[[nodiscard]] Rows join();
[[nodiscard]] Rows select();
[[nodiscard]] Rows conv();
[[nodiscard]] Rows pool();
[[nodiscard]] Rows softmax();
[[nodiscard]] Rows embedding();
[[nodiscard]] Rows lstm();
[[nodiscard]] Rows tensor();

// Rows of operations whose functions stand in two files: of tensors, and of a tensor and a number.
extern const OpRow kAdd, kMul;

using Call = TensorList (*)(const TensorList&, const Arguments&);
/// A row, written on as few lines as it needs.
[[nodiscard]] constexpr OpRow row(std::string_view name, std::string_view python, std::string_view onnx, int least,
                                  int most, std::span<const AttributeRow> attributes, OpFlags flags, Call call) {
  return {name, python, onnx, least, most, attributes, flags, call};
}

// How rows are written: `call` of an operation that gives one tensor, and attributes that several share.
using In = const TensorList&;
using With = const Arguments&;

/// f(x) as `call`.
template <Tensor (*f)(const Tensor&)>
constexpr auto kOne = [](In in, With) { return TensorList{f(in[0])}; };
/// f(a, b) as `call`.
template <Tensor (*f)(const Tensor&, const Tensor&)>
constexpr auto kTwo = [](In in, With) { return TensorList{f(in[0], in[1])}; };

// Attributes that call_op() has filled in, beyond what Arguments reads itself.
[[nodiscard]] inline bool is_text(With a, std::string_view name) {
  const Argument* value = a.find(name);
  return value != nullptr && std::holds_alternative<std::string>(*value);
}
[[nodiscard]] inline std::optional<std::int64_t> maybe_integer(With a, const char* name) {
  return a.has(name) ? std::optional(a.integer(name)) : std::nullopt;
}

/// Attributes of reductions over axes, and how they are written: all axes are left out.
inline constexpr AttributeRow kOverAxes[] = {{"dim", AttributeKind::integers, Absent{}},
                                             {"keepdim", AttributeKind::boolean, false}};
struct Over {
  const std::vector<std::int64_t>& axes;
  bool keepdim;
  void operator()(Arguments& a) const {
    if (!axes.empty()) a.set("dim", axes);
    a.set("keepdim", keepdim);
  }
};
[[nodiscard]] inline std::vector<std::int64_t> axes(With a) { return a.integers("dim", {}); }

/// An input that may have been left out.
[[nodiscard]] inline Tensor input(In in, std::size_t i) { return i < in.size() ? in[i] : Tensor(); }

}  // namespace coppice::rows
