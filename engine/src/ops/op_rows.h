#pragma once
// The rows of each file of operations, in the order of its header. Private to the engine: the table lists them, since
// a static library drops what nobody names.

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

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
[[nodiscard]] Rows quantized();
[[nodiscard]] Rows fake_quantize();

// Rows of operations whose functions stand in two files: of tensors, and of a tensor and a number.
extern const OpRow kAdd, kMul;

using Call = TensorList (*)(const TensorList&, const Arguments&);
/// A row, written on as few lines as it needs. How many inputs there are follows from their names.
[[nodiscard]] constexpr OpRow row(std::string_view name, std::string_view python, std::string_view onnx,
                                  std::string_view inputs, std::span<const AttributeRow> attributes, OpFlags flags,
                                  Call call) {
  int all = 1, optional = 0;
  for (const char c : inputs) all += c == ' ' ? 1 : 0, optional += c == '[' ? 1 : 0;
  return {name,       python, onnx, inputs, all - optional, inputs.ends_with("...") ? kAnyNumber : all,
          attributes, flags,  call};
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

/// The element type that the text attribute "dtype" names. @throws ValueError
[[nodiscard]] inline Dtype dtype(std::string_view op, With a) {
  const std::string name = a.text("dtype");
  if (const auto found = dtype_from_name(name)) return *found;
  throw ValueError(cat("[", op, "] '", name, "' is no element type"));
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

/// The value of an enumeration that the text attribute `name` holds, `words` being its names in order.
template <class Enum, std::size_t n>
[[nodiscard]] Enum word(With a, const char* name, const std::array<std::string_view, n>& words, std::string_view op) {
  const std::string given = a.text(name);
  const auto found = std::ranges::find(words, given);
  if (found != words.end()) return static_cast<Enum>(found - words.begin());
  std::string known;
  for (const std::string_view w : words) known += cat(known.empty() ? "'" : ", '", w, "'");
  throw ValueError(cat("[", op, "] ", name, " must be one of ", known, "; got '", given, "'"));
}

/// An input that may have been left out.
[[nodiscard]] inline Tensor input(In in, std::size_t i) { return i < in.size() ? in[i] : Tensor(); }

}  // namespace coppice::rows
