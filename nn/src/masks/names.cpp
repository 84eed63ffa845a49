#include "coppice/nn/masks/names.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <utility>

#include "coppice/engine/checked.h"
#include "coppice/nn/masks/masked.h"
#include "parametrize_list.h"

namespace coppice::nn {
namespace {

constexpr std::string_view kOriginal = "_orig", kMask = "_mask";
constexpr std::string_view kFakeMask = ".mask";

std::optional<std::string_view> without(std::string_view text, std::string_view end) {
  if (!text.ends_with(end)) return std::nullopt;
  return text.substr(0, text.size() - end.size());
}

/// "0.parametrizations.weight" -> "0.weight"; nothing for others.
std::optional<std::string> name_of_list(std::string_view list) {
  const std::string lists = cat(parametrize::kChild, '.');
  const std::size_t at = list.rfind(lists);
  if (at == list.npos || (at != 0 && list[at - 1] != '.')) return std::nullopt;
  const std::string_view tensor = list.substr(at + lists.size());
  if (tensor.empty() || tensor.find('.') != tensor.npos) return std::nullopt;
  return std::string(list.substr(0, at)) + std::string(tensor);
}

/// "0.parametrizations.weight.original" -> "0.weight", and the list "0.parametrizations.weight"; nothing for others.
std::optional<std::pair<std::string, std::string>> fake_names(std::string_view name) {
  const auto before = without(name, parametrize::kOriginal);
  const auto list = before ? without(*before, ".") : std::nullopt;
  if (!list) return std::nullopt;
  const auto tensor = name_of_list(*list);
  if (!tensor) return std::nullopt;
  return std::pair(*tensor, std::string(*list));
}

std::set<std::string_view> sorted_names(const NamedTensors& tensors) {
  std::set<std::string_view> out;
  for (const auto& [name, tensor] : tensors) out.insert(name);
  return out;
}

/// Whether no other names than these begin so.
bool holds_only(const std::set<std::string_view>& names, std::string_view begin,
                std::initializer_list<std::string_view> only) {
  for (auto at = names.lower_bound(begin); at != names.end() && at->starts_with(begin); ++at)
    if (std::ranges::find(only, *at) == only.end()) return false;
  return true;
}

}  // namespace

std::string original_of(std::string_view name) { return std::string(name) + std::string(kOriginal); }
std::string mask_of(std::string_view name) { return std::string(name) + std::string(kMask); }
std::optional<std::string_view> name_of_original(std::string_view original) { return without(original, kOriginal); }
std::optional<std::string_view> name_of_mask(std::string_view mask) { return without(mask, kMask); }

bool is_original(const Module& module, std::string_view name) {
  const auto masked = name_of_original(name);
  return masked && is_masked(module, *masked);
}

std::string public_name(std::string_view name) {
  if (const auto masked = name_of_original(name)) return std::string(*masked);
  if (const auto masked = name_of_mask(name)) return std::string(*masked);
  for (const std::string& end :
       {cat('.', parametrize::kOriginal), cat('.', parametrize::kOriginal, '1'), cat(".0", kFakeMask)})
    if (const auto list = without(name, end))
      if (const auto tensor = name_of_list(*list)) return *tensor;
  return std::string(name);
}

std::vector<NamedOriginal> originals_alone(const NamedTensors& tensors) {
  std::vector<NamedOriginal> out;
  std::set<std::string_view> sorted;  // made for the first original
  for (const auto& [name, tensor] : tensors)
    if (const auto fake = fake_names(name)) {
      if (sorted.empty()) sorted = sorted_names(tensors);
      if (holds_only(sorted, fake->second + '.', {name})) out.push_back({fake->first, name});
    }
  return out;
}

std::vector<NamedMask> masks_in(const NamedTensors& tensors) {
  std::vector<NamedMask> out;
  std::set<std::string_view> sorted;  // made for the first FakeSparsity
  for (const auto& [name, tensor] : tensors) {
    if (const auto masked = name_of_original(name); masked && tensors.contains(mask_of(*masked))) {
      out.push_back({std::string(*masked), name, mask_of(*masked)});
    } else if (const auto fake = fake_names(name)) {
      const std::string mask = fake->second + ".0" + std::string(kFakeMask);
      if (!tensors.contains(mask)) continue;
      if (sorted.empty()) sorted = sorted_names(tensors);
      out.push_back({fake->first, name, mask, holds_only(sorted, fake->second + '.', {name, mask})});
    }
  }
  return out;
}

}  // namespace coppice::nn
