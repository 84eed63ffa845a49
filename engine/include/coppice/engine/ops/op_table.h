#pragma once
/// The table of operations: what each is called, takes and can do, as data. Files, graphs, tests, benchmarks and the
/// list in the documents read it; the operation's own function stands beside its row.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "coppice/engine/arguments.h"
#include "coppice/engine/tensor.h"

namespace coppice {

/// What an attribute holds. An integer counts as a number and as a list of one; `scalar` is a number or a word.
enum class AttributeKind : std::uint8_t { boolean, integer, number, text, integers, scalar };

struct Required {};  ///< the caller must give it
struct Absent {};    ///< it may be left out, and then the operation does not see it
using Fallback = std::variant<Required, Absent, bool, std::int64_t, double, std::string_view>;

/// One attribute, under the name that PyTorch's function gives it; those that PyTorch does not have, or has in another
/// form, are `ties` of topk, `reverse` of lstm_layer, and `split_size` and `sections` of split.
struct AttributeRow {
  std::string_view name;
  AttributeKind kind;
  Fallback fallback = Required{};
};

/// What else holds for an operation. Each is tested for every row that claims it.
enum class OpFlags : std::uint8_t {
  none = 0,
  /// Floating inputs get gradients (norm: of the orders 1, 2 and 'fro'); without it no result requires grad.
  differentiable = 1 << 0,
  random = 1 << 1,  ///< draws from the default generator
  /// Each element of the result follows from the inputs' elements at its place, broadcast together.
  elementwise = 1 << 2,
  /// Zeros in, zeros out. Only together with `elementwise` and without `random` may it run on stored values alone.
  zero_to_zero = 1 << 3,
  /// The result is a view of the first input. Others may be one: narrow, select and split along the first axis, and
  /// to() of the same type.
  shares_storage = 1 << 4,
  takes_number = 1 << 5,  ///< its last input may be left out: the first attribute then holds a number in its place
};
[[nodiscard]] constexpr OpFlags operator|(OpFlags a, OpFlags b) {
  return static_cast<OpFlags>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
[[nodiscard]] constexpr bool has(OpFlags flags, OpFlags flag) {
  return (static_cast<unsigned>(flags) & static_cast<unsigned>(flag)) != 0;
}

inline constexpr int kAnyNumber = 1 << 20;  ///< as `most_inputs`: any number, all of them defined

/// An operation. Inputs at positions from `least_inputs` on may be left out or undefined (not so with kAnyNumber).
struct OpRow {
  std::string_view name;         ///< unique
  std::string_view python = {};  ///< what PyTorch calls it; several spellings separated by '|'
  std::string_view onnx = {};    ///< operators of ONNX that it needs, likewise; empty if there is none
  std::string_view inputs = {};  ///< their names in order: "input weight [bias]"; "tensors..." for any number
  int least_inputs = 1;
  int most_inputs = 1;
  std::span<const AttributeRow> attributes = {};
  OpFlags flags = OpFlags::none;
  /// Runs it, with at least as many inputs as it needs and all attributes filled in: call_op() sees to both.
  TensorList (*call)(const TensorList& inputs, const Arguments& attributes) = nullptr;

  [[nodiscard]] bool is(OpFlags flag) const { return has(flags, flag); }
};

/// All rows: the engine's in the order of its headers, then those registered. The pointers stay valid.
[[nodiscard]] std::vector<const OpRow*> op_table();

/// The row of that name, or nullptr.
[[nodiscard]] const OpRow* find_op(std::string_view name);

/// Adds a program's own operation; names and attributes are not copied and must outlive the program's use of the table.
/// @return  the row as kept, for its Op scope
/// @throws KeyError  if the name is taken; ValueError  if it is empty, `call` is missing, or the numbers of inputs or a
///         number to take do not fit
const OpRow& register_op(const OpRow& row);

/// `given` with the row's fallbacks for what was left out; a null counts as left out.
/// @throws KeyError  for an attribute that the row does not have, or a required one that is missing
/// @throws TypeError  for an attribute of another kind
[[nodiscard]] Arguments filled_in(const OpRow& row, const Arguments& given);

/// Runs an operation from data.
///
/// @param attributes  in any order; those left out get the row's fallback
/// @throws ValueError  for too few or too many inputs; StateError  for an undefined one that is needed
/// @throws what filled_in() and the operation throw
[[nodiscard]] TensorList call_op(const OpRow& row, const TensorList& inputs, const Arguments& attributes = {});

/// "boolean", "integer", ...
[[nodiscard]] std::string_view to_string(AttributeKind kind);

}  // namespace coppice
