#include "io/argument_json.h"

#include <algorithm>
#include <cmath>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"

namespace coppice::nn {
namespace {

using json = nlohmann::ordered_json;

std::string named(const std::string& where, const std::string& name) { return cat(where, ": argument ", quote(name)); }

json number(double value, const std::string& where) {
  if (!std::isfinite(value)) throw ValueError(cat(where, " must be finite to stand in a file; got ", value));
  return value;
}

template <class T>
void check_length(const std::vector<T>& list, const std::string& where) {
  if (list.size() > kMostItems)
    throw ValueError(cat(where, " must have at most ", kMostItems, " items; got ", list.size()));
}

std::int64_t integer(const json& value, const std::string& where) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX)
    throw FormatError(cat(where, " does not fit 63 bits: ", value.get<std::uint64_t>()));
  return value.get<std::int64_t>();
}

}  // namespace

json ArgumentWriter::object(const Arguments& arguments, const std::string& where) {
  return object(arguments, where, 0);
}

json ArgumentWriter::object(const Arguments& arguments, const std::string& where, std::size_t depth) {
  json out = json::object();
  for (const auto& [name, one] : arguments) {
    if (++count_ > kMostArguments)
      throw ValueError(cat(where, ": a file holds at most ", kMostArguments, " arguments; got more"));
    out[name] = value(one, named(where, name), depth);
  }
  return out;
}

json ArgumentWriter::value(const Argument& value, const std::string& where, std::size_t depth) {
  if (std::holds_alternative<std::monostate>(value)) return nullptr;
  if (const auto* v = std::get_if<bool>(&value)) return *v;
  if (const auto* v = std::get_if<std::int64_t>(&value)) return *v;
  if (const auto* v = std::get_if<double>(&value)) return number(*v, where);
  if (const auto* v = std::get_if<std::string>(&value)) return *v;
  if (const auto* v = std::get_if<std::vector<std::int64_t>>(&value)) {
    check_length(*v, where);
    return *v;
  }
  if (const auto* v = std::get_if<std::vector<double>>(&value)) {
    check_length(*v, where);
    if (v->empty()) return json::array();  // of integers as well
    format_ = 2;
    json out = json::array();
    for (const double one : *v) out.push_back(number(one, where));
    return out;
  }
  format_ = 2;
  if (const auto* v = std::get_if<Tensor>(&value)) {
    std::string member = cat(kArgumentMember, members_.size());
    members_.add(member, v->detach());
    return {{"tensor", std::move(member)}};
  }
  if (const auto* v = std::get_if<NamedFunction>(&value)) {
    if (!is_function(v->name))
      throw KeyError(cat(where, ": function ", quote(v->name), " is not registered: nobody could load the file"));
    return {{"function", v->name}};
  }
  if (depth == kDeepestMap)
    throw ValueError(cat(where, ": maps must be nested at most ", kDeepestMap, " deep; got more"));
  const auto& map = std::get<Arguments>(value);
  if (map.size() > kMostItems)
    throw ValueError(cat(where, " must have at most ", kMostItems, " entries; got ", map.size()));
  return {{"map", object(map, where, depth + 1)}};
}

Arguments ArgumentReader::object(const json& object, const std::string& where) {
  if (!object.is_object()) throw FormatError(cat(where, ": \"args\" must be an object"));
  return this->object(object, where, 0);
}

Arguments ArgumentReader::object(const json& object, const std::string& where, std::size_t depth) {
  Arguments out;
  for (const auto& [name, one] : object.items()) {
    if (++count_ > kMostArguments)
      throw LimitError(cat(where, ": a file holds at most ", kMostArguments, " arguments; got more"));
    out.set(name, value(one, named(where, name), depth));
  }
  return out;
}

Argument ArgumentReader::value(const json& value, const std::string& where, std::size_t depth) {
  if (value.is_null()) return std::monostate{};
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return integer(value, where);
  if (value.is_number_float()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  return value.is_array() ? list(value, where) : kind(value, where, depth);
}

Argument ArgumentReader::list(const json& items, const std::string& where) const {
  if (items.size() > kMostItems)
    throw LimitError(cat(where, " must have at most ", kMostItems, " items; got ", items.size()));
  const bool real = std::ranges::any_of(items, [](const json& item) { return item.is_number_float(); });
  if (!std::ranges::all_of(items, [](const json& item) { return item.is_number(); }) || (real && format_ < 2))
    throw FormatError(cat(where, " must be a list of integers", format_ < 2 ? "" : " or a list of numbers"));
  std::vector<std::int64_t> whole;
  std::vector<double> numbers;
  for (const json& item : items)
    if (item.is_number_float())
      numbers.push_back(item.get<double>());
    else if (const std::int64_t n = integer(item, where); real)
      numbers.push_back(static_cast<double>(n));
    else
      whole.push_back(n);
  if (real) return numbers;
  return whole;
}

Argument ArgumentReader::kind(const json& object, const std::string& where, std::size_t depth) {
  if (format_ < 2) throw FormatError(cat(where, " must not be an object in a file of format ", format_));
  const std::string word = object.size() == 1 ? object.begin().key() : std::string();
  if (word != "map" && word != "tensor" && word != "function")
    throw FormatError(
        cat(where, R"( must not be an object, but for one of {"map": …}, {"tensor": …}, {"function": …})"));
  const json& held = object.begin().value();
  if (word == "map") {
    if (!held.is_object()) throw FormatError(cat(where, ": \"map\" must be an object"));
    if (depth == kDeepestMap)
      throw LimitError(cat(where, ": maps must be nested at most ", kDeepestMap, " deep; got more"));
    return this->object(held, where, depth + 1);
  }
  if (!held.is_string()) throw FormatError(cat(where, ": \"", word, "\" must be a name"));
  const auto& name = held.get_ref<const std::string&>();
  if (word == "function") {
    if (!is_function(name)) throw FormatError(cat(where, ": no function ", quote(name), " is registered"));
    return NamedFunction{name};
  }
  if (members_ == nullptr) throw FormatError(cat(where, ": a tensor can stand in a model file only"));
  const Tensor* member = name.starts_with(kArgumentMember) ? members_->find(name) : nullptr;
  if (member == nullptr)
    throw FormatError(cat(where, ": the file has no tensor ", quote(name), " for arguments (those are called ",
                          quote(cat(kArgumentMember, "0")), ", …)"));
  // Once each: whoever goes over all arguments, to copy or to save them, goes over the bytes of the file at most.
  if (!used_.insert(name).second)
    throw FormatError(cat(where, ": tensor ", quote(name), " is another argument already"));
  return *member;
}

}  // namespace coppice::nn
