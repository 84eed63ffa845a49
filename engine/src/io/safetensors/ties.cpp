#include "io/safetensors/ties.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "coppice/engine/checked.h"

namespace coppice {
namespace {

/// Whether metadata may note a tie under this key.
bool may_note(std::string_view key) { return key != "format" && !key.starts_with("coppice."); }

const std::string& name_at(const NamedTensors& tensors, std::size_t i) {
  return tensors.begin()[static_cast<std::ptrdiff_t>(i)].first;
}

/// For each tensor the position of the one that is written for it, most often its own: of several with the same bytes,
/// shape and type that of the name which is the lowest by bytes. Empty tensors stand for themselves, and so do names
/// that the metadata has as keys for something else.
std::vector<std::size_t> tied_to(const NamedTensors& tensors) {
  using Place = std::tuple<const std::byte*, Dtype, std::vector<std::int64_t>>;
  std::map<Place, std::size_t> lowest;
  std::vector<std::size_t> out(tensors.size());
  const auto entry = [&](std::size_t i) -> const auto& { return tensors.begin()[static_cast<std::ptrdiff_t>(i)]; };
  const auto stands_alone = [&](const std::string& name, const Tensor& tensor) {
    return tensor.nbytes() == 0 || !may_note(name) || tensors.metadata().contains(name);
  };
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto& [name, tensor] = entry(i);
    out[i] = i;
    if (stands_alone(name, tensor)) continue;
    const Place place{tensor.bytes(), tensor.dtype(), {tensor.shape().begin(), tensor.shape().end()}};
    const auto [known, is_new] = lowest.try_emplace(place, i);
    if (!is_new && name < entry(known->second).first) known->second = i;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto& [name, tensor] = entry(i);
    if (!stands_alone(name, tensor))
      out[i] = lowest.at({tensor.bytes(), tensor.dtype(), {tensor.shape().begin(), tensor.shape().end()}});
  }
  return out;
}

/// The order in which a reader without further notes adds tensors.
std::vector<std::size_t> order_of_reader(const NamedTensors& tensors, const std::vector<std::size_t>& tied) {
  std::vector<std::size_t> order;
  std::multimap<std::size_t, std::pair<std::string_view, std::size_t>> others;  // by what they are tied to
  for (std::size_t i = 0; i < tied.size(); ++i)
    if (tied[i] == i)
      order.push_back(i);
    else
      others.emplace(tied[i], std::pair(std::string_view(name_at(tensors, i)), i));
  const std::vector<std::size_t> written = order;
  for (const std::size_t i : written) {
    std::vector<std::pair<std::string_view, std::size_t>> here;
    for (auto [other, end] = others.equal_range(i); other != end; ++other) here.push_back(other->second);
    std::ranges::sort(here);
    for (const auto& [name, at] : here) order.push_back(at);
  }
  return order;
}

/// The numbers of the text; nothing for any other text.
std::optional<std::vector<std::size_t>> numbers_in(std::string_view text) {
  std::vector<std::size_t> out;
  while (!text.empty()) {
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return std::nullopt;
    out.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.empty() && text.front() != ' ') return std::nullopt;
    text.remove_prefix(std::min<std::size_t>(text.size(), 1));
  }
  return out;
}

/// Puts the tied names where the metadata says that they stood, if it says so soundly.
void put_in_place(NamedTensors& tensors, std::vector<std::string> tied) {
  const auto note = tensors.metadata().find(kTiedAtKey);
  if (note == tensors.metadata().end() || tied.empty()) return;
  const auto places = numbers_in(note->second);
  if (!places || places->size() != tied.size()) return;
  std::ranges::sort(tied);
  std::map<std::size_t, std::string_view> at;
  for (std::size_t i = 0; i < tied.size(); ++i)
    if ((*places)[i] >= tensors.size() || !at.emplace((*places)[i], tied[i]).second) return;
  NamedTensors ordered;
  auto next = tensors.begin();  // those that are not tied stand first
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto place = at.find(i);
    if (place == at.end())
      ordered.add(next->first, next->second), ++next;
    else
      ordered.add(std::string(place->second), tensors.at(place->second));
  }
  ordered.metadata() = std::move(tensors.metadata());
  ordered.metadata().erase(kTiedAtKey);
  ordered.skipped() = std::move(tensors.skipped());
  ordered.compared() = tensors.compared();
  tensors = std::move(ordered);
}

}  // namespace

NamedTensors without_ties(const NamedTensors& tensors) {
  const std::vector<std::size_t> tied = tied_to(tensors);
  NamedTensors out;
  out.metadata() = tensors.metadata();
  std::map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < tied.size(); ++i) {
    if (tied[i] == i) {
      out.add(name_at(tensors, i), tensors.begin()[static_cast<std::ptrdiff_t>(i)].second);
      continue;
    }
    out.metadata().emplace(name_at(tensors, i), name_at(tensors, tied[i]));
    places.emplace(name_at(tensors, i), i);
  }
  const std::vector<std::size_t> order = order_of_reader(tensors, tied);
  if (std::ranges::is_sorted(order)) return out;
  std::string text;
  for (const auto& [name, place] : places) text += cat(text.empty() ? "" : " ", place);
  out.metadata()[kTiedAtKey] = text;
  return out;
}

void add_ties(NamedTensors& tensors, const std::set<std::string, std::less<>>& left_out, const Source& source,
              const Limits& limits, MemoryBudget& budget) {
  // A text under the name of a tensor that is left out would be a note in whatever is written of the others.
  std::erase_if(tensors.metadata(), [&](const auto& entry) { return left_out.contains(entry.first); });
  std::multimap<std::string_view, std::string_view> notes;  // by the name that is tied to
  for (const auto& [key, text] : tensors.metadata())
    if (may_note(key) && !tensors.contains(key)) notes.emplace(text, key);
  std::vector<std::string> tied;
  const auto add_tied_to = [&](std::string_view kept, const Tensor& tensor) {
    for (auto [note, end] = notes.equal_range(kept); note != end; ++note) {
      if (tensors.size() == limits.tensors)
        source.exceeded("tensors", "tensors with those that are tied", limits.tensors, tensors.size() + 1);
      budget.show(tensor.nbytes(), quote(note->second));
      tensors.add(std::string(note->second), tensor);
      tied.emplace_back(note->second);
    }
  };
  const std::vector<std::string> names = notes.empty() ? std::vector<std::string>() : tensors.names();
  for (const std::string& name : names) add_tied_to(name, Tensor(tensors.at(name)));
  // A note may name what another note names. Each key is one note's, so that none comes twice.
  for (std::size_t i = 0; i < tied.size(); ++i) add_tied_to(std::string(tied[i]), Tensor(tensors.at(tied[i])));
  for (const std::string& name : tied) tensors.metadata().erase(name);
  put_in_place(tensors, std::move(tied));
}

}  // namespace coppice
