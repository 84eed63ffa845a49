#include "io/safetensors/ties.h"

#include <map>
#include <string_view>
#include <tuple>
#include <vector>

#include "coppice/engine/checked.h"

namespace coppice {
namespace {

/// Whether metadata may note a tie under this key.
bool may_note(std::string_view key) { return key != "format" && !key.starts_with("coppice."); }

}  // namespace

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

void add_ties(NamedTensors& tensors, const std::set<std::string, std::less<>>& left_out, const Source& source,
              const Limits& limits, MemoryBudget& budget) {
  std::multimap<std::string_view, std::string_view> notes;  // by the name that is tied to
  for (const auto& [key, text] : tensors.metadata())
    if (may_note(key) && !tensors.contains(key) && !left_out.contains(key)) notes.emplace(text, key);
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
}

}  // namespace coppice
