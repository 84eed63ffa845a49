#include "io/argument_json.h"

#include <algorithm>
#include <cmath>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"

namespace coppice::nn {
namespace {

using json = nlohmann::ordered_json;
using Place = ArgumentPlace;

template <class E, class... Text>
[[noreturn]] void refuse(const Place& place, const Text&... text) {
  throw E(cat(place.text(), text...));
}

/// Whether a map that stands here would be one too many.
bool too_deep(const Place& place) {
  std::size_t maps = 0;
  for (const Place* p = place.outer; p != nullptr; p = p->outer) ++maps;
  return maps == kDeepestMap;
}

json number(double value, const Place& place) {
  if (!std::isfinite(value)) refuse<ValueError>(place, " must be finite to stand in a file; got ", value);
  return value;
}

void check_length(std::size_t length, const char* what, const Place& place) {
  if (length > kMostItems) refuse<ValueError>(place, " must have at most ", kMostItems, " ", what, "; got ", length);
}

std::int64_t integer(const json& value, const Place& place) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX)
    refuse<FormatError>(place, " does not fit 63 bits: ", value.get<std::uint64_t>());
  return value.get<std::int64_t>();
}

}  // namespace

std::string Place::text() const { return cat(outer == nullptr ? where : outer->text(), ": argument ", quote(name)); }

json ArgumentWriter::object(const Arguments& arguments, const std::string& where) {
  return object(arguments, where, nullptr);
}

json ArgumentWriter::object(const Arguments& arguments, const std::string& where, const Place* outer) {
  json out = json::object();
  for (const auto& [name, one] : arguments) {
    if (++count_ > kMostArguments)
      throw ValueError(cat(where, ": a file holds at most ", kMostArguments, " arguments; got more"));
    out[name] = value(one, {where, outer, name});
  }
  return out;
}

json ArgumentWriter::value(const Argument& value, const Place& place) {
  if (std::holds_alternative<std::monostate>(value)) return nullptr;
  if (const auto* v = std::get_if<bool>(&value)) return *v;
  if (const auto* v = std::get_if<std::int64_t>(&value)) return *v;
  if (const auto* v = std::get_if<double>(&value)) return number(*v, place);
  if (const auto* v = std::get_if<std::string>(&value)) return *v;
  if (const auto* v = std::get_if<std::vector<std::int64_t>>(&value)) {
    check_length(v->size(), "items", place);
    return *v;
  }
  if (const auto* v = std::get_if<std::vector<double>>(&value)) {
    check_length(v->size(), "items", place);
    if (!v->empty()) format_ = 2;  // an empty list is one of integers as well
    json out = json::array();
    for (const double one : *v) out.push_back(number(one, place));
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
      refuse<KeyError>(place, ": function ", quote(v->name), " is not registered: nobody could load the file");
    return {{"function", v->name}};
  }
  if (too_deep(place)) refuse<ValueError>(place, ": maps must be nested at most ", kDeepestMap, " deep; got more");
  const auto& map = std::get<Arguments>(value);
  check_length(map.size(), "entries", place);
  return {{"map", object(map, place.where, &place)}};
}

Arguments ArgumentReader::object(const json& object, const std::string& where) {
  if (!object.is_object()) throw FormatError(cat(where, ": \"args\" must be an object"));
  return this->object(object, where, nullptr);
}

Arguments ArgumentReader::object(const json& object, const std::string& where, const Place* outer) {
  Arguments out;
  for (const auto& [name, one] : object.items()) {
    if (++count_ > kMostArguments)
      throw LimitError(cat(where, ": a file holds at most ", kMostArguments, " arguments; got more"));
    out.set(name, value(one, {where, outer, name}));
  }
  return out;
}

Argument ArgumentReader::value(const json& value, const Place& place) {
  if (value.is_null()) return std::monostate{};
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return integer(value, place);
  if (value.is_number_float()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  return value.is_array() ? list(value, place) : kind(value, place);
}

Argument ArgumentReader::list(const json& items, const Place& place) const {
  if (items.size() > kMostItems)
    refuse<LimitError>(place, " must have at most ", kMostItems, " items; got ", items.size());
  const bool real = std::ranges::any_of(items, [](const json& item) { return item.is_number_float(); });
  if (!std::ranges::all_of(items, [](const json& item) { return item.is_number(); }) || (real && format_ < 2))
    refuse<FormatError>(place, " must be a list of integers", format_ < 2 ? "" : " or a list of numbers");
  std::vector<std::int64_t> whole;
  std::vector<double> numbers;
  for (const json& item : items)
    if (item.is_number_float())
      numbers.push_back(item.get<double>());
    else if (const std::int64_t n = integer(item, place); real)
      numbers.push_back(static_cast<double>(n));
    else
      whole.push_back(n);
  if (real) return numbers;
  return whole;
}

Argument ArgumentReader::kind(const json& object, const Place& place) {
  if (format_ < 2) refuse<FormatError>(place, " must not be an object in a file of format ", format_);
  const std::string word = object.size() == 1 ? object.begin().key() : std::string();
  if (word != "map" && word != "tensor" && word != "function")
    refuse<FormatError>(place, R"( must not be an object, but for one of {"map": …}, {"tensor": …}, {"function": …})");
  const json& held = object.begin().value();
  if (word == "map") {
    if (!held.is_object()) refuse<FormatError>(place, ": \"map\" must be an object");
    if (too_deep(place)) refuse<LimitError>(place, ": maps must be nested at most ", kDeepestMap, " deep; got more");
    return this->object(held, place.where, &place);
  }
  if (!held.is_string()) refuse<FormatError>(place, ": \"", word, "\" must be a name");
  const auto& name = held.get_ref<const std::string&>();
  if (word == "tensor") return tensor(name, place);
  if (!is_function(name)) refuse<FormatError>(place, ": no function ", quote(name), " is registered");
  return NamedFunction{name};
}

Tensor ArgumentReader::tensor(const std::string& member, const Place& place) {
  if (members_ == nullptr) refuse<FormatError>(place, ": a tensor can stand in a model file only");
  const Tensor* found = member.starts_with(kArgumentMember) ? members_->find(member) : nullptr;
  if (found == nullptr)
    refuse<FormatError>(place, ": the file has no tensor ", quote(member), " for arguments (those are called ",
                        quote(cat(kArgumentMember, "0")), ", …)");
  // Once each: whoever goes over all arguments, to copy or to save them, goes over the bytes of the file at most.
  if (!used_.insert(member).second)
    refuse<FormatError>(place, ": tensor ", quote(member), " is another argument already");
  return found->detach();  // the same bytes, as those of parameters
}

}  // namespace coppice::nn
