#include "coppice/sparsity/prunables.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/nn/bits.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"
#include "coppice/sparsity/tied.h"

namespace coppice::sparsity {
namespace {

constexpr const char* kSlot = "tensor";

void forget(const Tensor& t) { forget_pages({t.bytes(), t.nbytes()}); }

}  // namespace

std::vector<Prunable> prunables_of(nn::Module& model) {
  std::vector<Prunable> out;
  for (const auto& [path, module] : model.named_modules())
    for (const auto& [name, tensor] : module->own_parameters()) {
      if (!tensor.defined()) continue;
      const std::string slot(nn::is_original(*module, name) ? *nn::name_of_original(name) : name);
      out.push_back({nn::joined(path, slot), module, slot});
    }
  return out;
}

std::string left_by_default(const Prunable& p) {
  std::string why = left_by_default(p.name, p.value());
  if (why.empty() && p.module->type_name().find("Norm") != std::string_view::npos) why = "the weight of a norm";
  return why;
}

std::vector<Prunable> chosen(const std::vector<Prunable>& all, const WeightFilter& filter) {
  std::vector<Prunable> out;
  std::ranges::copy_if(all, std::back_inserter(out), [&](const Prunable& p) { return filter(p.name, p.value()); });
  return out;
}

void for_each(const std::vector<Prunable>& all, const std::function<void(const Prunable&)>& prune) {
  for (const Prunable& p : all) try {
      prune(p);
    } catch (Error& e) {
      e.set_place(cat(quote(p.name), ": "));
      throw;
    }
}

PrunableTensors::PrunableTensors(const NamedTensors& tensors, std::string_view source) : source_(source) {
  NoGrad guard;
  std::map<std::string_view, const nn::NamedMask*> by_original;
  std::set<std::string_view> masks;
  std::map<std::string_view, std::string_view> originals;  // by what they are the originals of
  const std::vector<nn::NamedMask> pairs = nn::masks_in(tensors);
  for (const nn::NamedMask& pair : pairs) {
    const auto [other, first] = originals.emplace(pair.name, pair.original);
    if (!first)
      throw FormatError(cat(quote_path(source), " holds ", quote(other->second), " beside ", quote(pair.original)));
    if (!pair.alone)
      throw FormatError(
          cat(quote_path(source), ": ", quote(pair.original), " has more parametrizations than its mask"));
    by_original.emplace(pair.original, &pair);
    masks.insert(pair.mask);
  }
  for (const auto& [name, tensor] : tensors) {
    if (masks.contains(name)) continue;
    const auto found = by_original.find(name);
    const nn::NamedMask* pair = found == by_original.end() ? nullptr : found->second;
    if (pair != nullptr && tensors.contains(pair->name))
      throw FormatError(cat(quote_path(source), " holds ", quote(pair->name), " beside ", quote(name)));
    const auto holder = std::make_shared<nn::Identity>();
    holder->register_parameter(kSlot, tensor.detach());
    if (pair != nullptr) {
      const Tensor& mask = tensors.at(pair->mask);
      if (mask.shape() != tensor.shape())
        throw FormatError(cat(quote_path(source), ": ", quote(pair->mask), " has shape ", mask.shape(), " for ",
                              quote(name), " of ", tensor.shape()));
      nn::set_mask(*holder, kSlot, mask);
      masked_before_.insert(pair->name);
    }
    holders_.push_back(holder);
    all_.push_back({pair == nullptr ? name : pair->name, holder.get(), kSlot, true});
  }
}

bool PrunableTensors::has_ties() const { return !tied_groups(all_).empty(); }

void PrunableTensors::settle(const Prunable& p) {
  if (!nn::is_masked(*p.module, p.slot)) return forget(p.module->tensor(p.slot));
  const Tensor original = p.module->tensor(nn::original_of(p.slot)), mask = p.module->tensor(nn::mask_of(p.slot));
  if (nn::is_binary(mask)) {
    // A first mask has the type of the tensor, however it was computed.
    settled_.emplace(p.name, masked_before_.contains(p.name) ? mask.dtype() : original.dtype());
    if (mask.dtype() != Dtype::boolean)
      nn::set_mask(*p.module, p.slot, mask.to(Dtype::boolean), nn::mask_origin(*p.module, p.slot));
  }
  forget(original);
}

void PrunableTensors::set_bits(const Prunable& p, const Tensor& bits) {
  if (nn::is_masked(*p.module, p.slot)) throw StateError(cat("[PrunableTensors] ", quote(p.name), " has a mask"));
  bits_.insert_or_assign(p.name, bits);
  forget(p.module->tensor(p.slot));
}

}  // namespace coppice::sparsity
