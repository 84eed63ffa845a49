#include "coppice/engine/ops/op_table.h"

#include <algorithm>
#include <deque>
#include <mutex>

#include "ops/op_rows.h"

namespace coppice {
namespace {

std::mutex mutex;  // of registered()

/// A deque: rows stay where they are.
std::deque<OpRow>& registered() {
  static std::deque<OpRow> rows;
  return rows;
}

/// The rows of the engine.
const std::vector<const OpRow*>& own_rows() {
  static const std::vector<const OpRow*> all = [] {
    std::vector<const OpRow*> list;
    for (const rows::Rows rows :
         {rows::binary(), rows::unary(), rows::compare(), rows::linalg(), rows::conv(), rows::pool(), rows::reduce(),
          rows::norm(), rows::softmax(), rows::embedding(), rows::lstm(), rows::shape(), rows::join(), rows::tensor(),
          rows::select(), rows::quantized(), rows::fake_quantize()})
      list.insert(list.end(), rows.begin(), rows.end());
    return list;
  }();
  return all;
}

/// Whether `value` may stand for an attribute of that kind.
bool fits(AttributeKind kind, const Argument& value) {
  const bool integer = std::holds_alternative<std::int64_t>(value);
  switch (kind) {
    case AttributeKind::boolean: return std::holds_alternative<bool>(value);
    case AttributeKind::integer: return integer;
    case AttributeKind::number: return integer || std::holds_alternative<double>(value);
    case AttributeKind::text: return std::holds_alternative<std::string>(value);
    case AttributeKind::integers: return integer || std::holds_alternative<std::vector<std::int64_t>>(value);
    case AttributeKind::scalar:
      return integer || std::holds_alternative<double>(value) || std::holds_alternative<std::string>(value);
  }
  return false;
}

std::string names_of(std::span<const AttributeRow> attributes) {
  std::string names;
  for (const AttributeRow& a : attributes) names += cat(names.empty() ? "" : ", ", a.name);
  return names.empty() ? "none" : names;
}

void add_fallback(const OpRow& row, const AttributeRow& attribute, Arguments& to) {
  if (std::holds_alternative<Required>(attribute.fallback))
    throw KeyError(cat("[", row.name, "] the attribute '", attribute.name, "' is missing"));
  if (const auto* b = std::get_if<bool>(&attribute.fallback)) to.set(attribute.name, *b);
  if (const auto* i = std::get_if<std::int64_t>(&attribute.fallback)) to.set(attribute.name, *i);
  if (const auto* d = std::get_if<double>(&attribute.fallback)) to.set(attribute.name, *d);
  if (const auto* t = std::get_if<std::string_view>(&attribute.fallback)) to.set(attribute.name, std::string(*t));
}

/// "2", "1 to 3", "1 or more".
std::string counts(int least, int most) {
  if (most == kAnyNumber) return cat(least, " or more");
  return least == most ? cat(least) : cat(least, " to ", most);
}

void check_inputs(const OpRow& row, const TensorList& inputs) {
  const auto n = static_cast<int>(std::min<std::size_t>(inputs.size(), kAnyNumber));
  const int least = row.least_inputs - (row.is(OpFlags::takes_number) ? 1 : 0);
  if (n < least || n > row.most_inputs)
    throw ValueError(cat("[", row.name, "] takes ", counts(least, row.most_inputs), " inputs; got ", inputs.size()));
  for (int i = 0; i < n; ++i)
    if (!inputs[static_cast<std::size_t>(i)].defined() && (i < row.least_inputs || row.most_inputs == kAnyNumber))
      throw StateError(cat("[", row.name, "] input ", i, " is undefined"));
}

}  // namespace

std::vector<const OpRow*> op_table() {
  std::vector<const OpRow*> all = own_rows();
  const std::scoped_lock lock(mutex);
  for (const OpRow& row : registered()) all.push_back(&row);
  return all;
}

const OpRow* find_op(std::string_view name) {
  for (const OpRow* row : own_rows())
    if (row->name == name) return row;
  const std::scoped_lock lock(mutex);
  for (const OpRow& row : registered())
    if (row.name == name) return &row;
  return nullptr;
}

const OpRow& register_op(const OpRow& row) {
  if (row.name.empty() || row.call == nullptr)
    throw ValueError(cat("[register_op] '", row.name, "' needs a name and a function to call"));
  if (row.least_inputs < 0 || row.most_inputs < row.least_inputs ||
      (row.is(OpFlags::takes_number) && (row.attributes.empty() || row.least_inputs < 1)))
    throw ValueError(cat("[register_op] '", row.name, "' takes ", row.least_inputs, " to ", row.most_inputs,
                         " inputs and ", row.attributes.size(), " attributes, which does not fit its flags"));
  const auto taken = [&](const OpRow& other) { return other.name == row.name; };
  const std::scoped_lock lock(mutex);
  if (std::ranges::any_of(own_rows(), [&](const OpRow* own) { return taken(*own); }) ||
      std::ranges::any_of(registered(), taken))
    throw KeyError(cat("[register_op] there is an operation '", row.name, "' already"));
  return registered().emplace_back(row);
}

Arguments filled_in(const OpRow& row, const Arguments& given) {
  Arguments all;
  for (const auto& [name, value] : given) {
    const auto known = std::ranges::find(row.attributes, std::string_view(name), &AttributeRow::name);
    if (known == row.attributes.end())
      throw KeyError(cat("[", row.name, "] has no attribute '", name, "'; it has: ", names_of(row.attributes)));
    if (std::holds_alternative<std::monostate>(value)) continue;
    if (!fits(known->kind, value))
      throw TypeError(cat("[", row.name, "] the attribute '", name, "' must be of the kind ", to_string(known->kind)));
    all.set(name, value);
  }
  for (const AttributeRow& attribute : row.attributes)
    if (!all.has(attribute.name)) add_fallback(row, attribute, all);
  return all;
}

TensorList call_op(const OpRow& row, const TensorList& inputs, const Arguments& attributes) {
  check_inputs(row, inputs);
  return row.call(inputs, filled_in(row, attributes));
}

std::string_view to_string(AttributeKind kind) {
  constexpr std::string_view kNames[] = {"boolean", "integer", "number", "text", "integers", "scalar"};
  return kNames[static_cast<std::size_t>(kind)];
}

}  // namespace coppice
