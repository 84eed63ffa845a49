#include "coppice/engine/io/named_tensors.h"

#include "coppice/engine/checked.h"

namespace coppice {

NamedTensors::NamedTensors(std::initializer_list<Entry> entries) {
  for (const auto& [name, tensor] : entries) add(name, tensor);
}

void NamedTensors::add(std::string name, Tensor tensor) {
  if (!tensor.defined()) throw StateError(cat("[NamedTensors::add] the tensor for ", quote(name), " is undefined"));
  const auto [place, is_new] = index_.try_emplace(name, entries_.size());
  if (!is_new) throw KeyError(cat("[NamedTensors::add] ", quote(name), " exists already"));
  try {
    entries_.emplace_back(std::move(name), std::move(tensor));
  } catch (...) {
    index_.erase(place);
    throw;
  }
}

void NamedTensors::set(std::string_view name, Tensor tensor) {
  const auto place = index_.find(name);
  if (place == index_.end()) return add(std::string(name), std::move(tensor));
  if (!tensor.defined()) throw StateError(cat("[NamedTensors::set] the tensor for ", quote(name), " is undefined"));
  entries_[place->second].second = std::move(tensor);
}

bool NamedTensors::erase(std::string_view name) {
  const auto place = index_.find(name);
  if (place == index_.end()) return false;
  const std::size_t position = place->second;
  index_.erase(place);
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(position));
  for (auto& [other, at] : index_)
    if (at > position) --at;
  return true;
}

void NamedTensors::add_all(const std::string& prefix, const NamedTensors& others) {
  for (const auto& [name, tensor] : others) add(prefix + name, tensor);
}

NamedTensors NamedTensors::below(std::string_view prefix) const {
  NamedTensors out;
  for (const auto& [name, tensor] : entries_)
    if (name.starts_with(prefix)) out.add(name.substr(prefix.size()), tensor);
  return out;
}

const Tensor* NamedTensors::find(std::string_view name) const {
  const auto place = index_.find(name);
  return place == index_.end() ? nullptr : &entries_[place->second].second;
}

const Tensor& NamedTensors::at(std::string_view name) const {
  if (const Tensor* tensor = find(name)) return *tensor;
  throw KeyError(cat("[NamedTensors::at] no tensor is named ", quote(name), "; there are ", size()));
}

std::vector<std::string> NamedTensors::names() const {
  std::vector<std::string> out;
  out.reserve(size());
  for (const auto& [name, tensor] : entries_) out.push_back(name);
  return out;
}

std::uint64_t NamedTensors::nbytes() const {
  std::uint64_t sum = 0;
  for (const auto& [name, tensor] : entries_) sum += tensor.nbytes();
  return sum;
}

}  // namespace coppice
