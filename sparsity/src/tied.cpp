#include "coppice/sparsity/tied.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "coppice/engine/autograd.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"

namespace coppice::sparsity {
namespace {

/// The parameter itself.
Tensor stored(const Prunable& p) {
  return p.module->tensor(nn::is_masked(*p.module, p.slot) ? nn::original_of(p.slot) : p.slot);
}

/// Its mask; undefined without one.
Tensor mask_of(const Prunable& p) {
  return nn::is_masked(*p.module, p.slot) ? p.module->tensor(nn::mask_of(p.slot)).detach() : Tensor();
}

/// Whether two parameters of one memory are one tensor to a model.
bool are_one(const Prunable& a, const Prunable& b) {
  const Tensor first = stored(a), second = stored(b), mask = mask_of(a), other = mask_of(b);
  return first.shape() == second.shape() && first.dtype() == second.dtype() && mask.defined() == other.defined() &&
         (!mask.defined() || mask == other);
}

}  // namespace

const void* memory_of(const Prunable& p) { return stored(p).bytes(); }

std::vector<std::vector<Prunable>> tied_groups(const std::vector<Prunable>& all) {
  std::vector<std::pair<const void*, std::size_t>> places;  // by memory, then in order
  for (std::size_t i = 0; i < all.size(); ++i)
    if (const Tensor tensor = stored(all[i]); tensor.numel() > 0) places.emplace_back(tensor.bytes(), i);
  std::ranges::sort(places);
  std::vector<std::vector<std::size_t>> groups;
  for (std::size_t begin = 0, end = 0; begin < places.size(); begin = end) {
    while (end < places.size() && places[end].first == places[begin].first) ++end;
    if (end - begin < 2) continue;  // of a million tensors hardly any are tied
    const std::size_t first_group = groups.size();
    for (std::size_t at = begin; at < end; ++at) {
      const std::size_t i = places[at].second;
      const auto same = std::find_if(groups.begin() + static_cast<std::ptrdiff_t>(first_group), groups.end(),
                                     [&](const auto& group) { return are_one(all[group.front()], all[i]); });
      if (same == groups.end())
        groups.push_back({i});
      else
        same->push_back(i);
    }
  }
  std::erase_if(groups, [](const auto& group) { return group.size() < 2; });
  std::ranges::sort(groups, {}, [](const auto& group) { return group.front(); });
  std::vector<std::vector<Prunable>> out;
  for (const std::vector<std::size_t>& group : groups) {
    out.emplace_back();
    for (const std::size_t i : group) out.back().push_back(all[i]);
  }
  return out;
}

void share_mask(const std::vector<Prunable>& group) {
  const NoGrad guard;
  const Prunable& first = group.front();
  if (!nn::is_masked(*first.module, first.slot)) return;
  const Tensor mask = first.module->tensor(nn::mask_of(first.slot));
  for (std::size_t i = 1; i < group.size(); ++i)
    nn::set_mask(*group[i].module, group[i].slot, mask, nn::mask_origin(*first.module, first.slot));
}

void tie(const std::vector<Prunable>& group) {
  const NoGrad guard;
  const Tensor first = stored(group.front());
  for (std::size_t i = 1; i < group.size(); ++i) {
    Tensor other = stored(group[i]);
    if (!other.is(first)) other.replace_(first.detach());
  }
}

}  // namespace coppice::sparsity
