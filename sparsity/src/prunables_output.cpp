// What PrunableTensors write.
#include <algorithm>
#include <map>
#include <set>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/nn/bits.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"
#include "coppice/sparsity/prunables.h"
#include "coppice/sparsity/prune/masked_bits.h"
#include "coppice/sparsity/tied.h"

namespace coppice::sparsity {
namespace {

using Fill = std::function<void(std::uint64_t, std::span<std::byte>)>;

/// A tensor of the type and shape of `like`, whose pages are given back behind it.
PlannedTensor planned_as(std::string name, const Tensor& like, std::function<Tensor()> make, Fill fill) {
  return {std::move(name),
          like.dtype(),
          like.shape(),
          std::move(make),
          [like] { forget_pages({like.bytes(), like.nbytes()}); },
          std::move(fill)};
}

PlannedTensor filled(std::string name, const Tensor& like, Fill fill) {
  return planned_as(std::move(name), like, nullptr, std::move(fill));
}

PlannedTensor as_it_is(std::string name, const Tensor& t) {
  return filled(std::move(name), t, [t](std::uint64_t at, std::span<std::byte> to) {
    const std::span<const std::byte> from(t.bytes() + at, to.size());
    std::ranges::copy(from, to.begin());
    forget_pages(from);
  });
}

}  // namespace

void PrunableTensors::check_names_of_masks() const {
  std::set<std::string_view> names;
  for (const Prunable& p : all_) names.insert(p.name);
  for (const Prunable& p : all_)
    for (const std::string& name : {nn::original_of(p.name), nn::mask_of(p.name)})
      if ((nn::is_masked(*p.module, p.slot) || bits_.contains(p.name)) && names.contains(name))
        throw FormatError(cat(quote_path(source_), " holds ", quote(name), ", which the mask of ", quote(p.name),
                              " needs; without masks it can be written"));
}

Tensor PrunableTensors::mask_of_output(const Prunable& p) const {
  const Tensor mask = p.module->tensor(nn::mask_of(p.slot));
  const auto type = settled_.find(p.name);
  return type == settled_.end() ? mask : mask.to(type->second);
}

std::vector<PlannedTensor> PrunableTensors::planned(bool keep_masks) const {
  if (keep_masks) check_names_of_masks();
  if (has_ties()) throw StateError("[PrunableTensors] tensors of one storage are written once");
  std::vector<PlannedTensor> out;
  for (const Prunable& p : all_) {
    const auto bits = bits_.find(p.name);
    if (nn::is_masked(*p.module, p.slot))
      plan_masked(p, keep_masks, out);
    else if (bits == bits_.end())
      out.push_back(as_it_is(p.name, p.value()));
    else if (!keep_masks)
      out.push_back(filled(p.name, p.value(),
                           [value = p.value(), bits = bits->second](std::uint64_t at, std::span<std::byte> to) {
                             prune::write_masked(value, bits, at, to);
                           }));
    else {
      const Tensor value = p.value();
      out.push_back(as_it_is(nn::original_of(p.name), value));
      out.push_back(filled(nn::mask_of(p.name), value,
                           [type = value.dtype(), bits = bits->second](std::uint64_t at, std::span<std::byte> to) {
                             prune::write_mask(bits, type, at, to);
                           }));
    }
  }
  return out;
}

void PrunableTensors::plan_masked(const Prunable& p, bool keep_masks, std::vector<PlannedTensor>& out) const {
  const Tensor original = p.module->tensor(nn::original_of(p.slot)).detach();
  const Tensor mask = p.module->tensor(nn::mask_of(p.slot));
  if (!keep_masks) {
    out.push_back(planned_as(p.name, original,
                             [original, mask] {
                               const NoGrad guard;
                               return nn::apply_mask(original, mask);
                             },
                             {}));
    return;
  }
  const auto type = settled_.find(p.name);
  out.push_back(as_it_is(nn::original_of(p.name), original));
  out.push_back({nn::mask_of(p.name),
                 type == settled_.end() ? mask.dtype() : type->second,
                 mask.shape(),
                 [this, p] { return mask_of_output(p); },
                 {}});
}

Tensor PrunableTensors::product_of(const Prunable& p, const Tensor& bits) {
  const Tensor value = p.value();
  Tensor out = Tensor::empty(value.shape(), value.dtype());
  prune::write_masked(value, bits, 0, {out.mutable_bytes(), out.nbytes()});
  return out;
}

NamedTensors PrunableTensors::tensors(bool keep_masks) {
  if (keep_masks) check_names_of_masks();
  if (!keep_masks) {
    const std::vector<std::vector<Prunable>> tied = tied_groups(all_);
    for (const Prunable& p : all_)
      if (nn::is_masked(*p.module, p.slot)) nn::burn_in_mask(*p.module, p.slot);
    for (const std::vector<Prunable>& group : tied) tie(group);
  }
  NamedTensors out;
  std::map<const void*, Tensor> masks;
  for (const Prunable& p : all_) {
    const auto bits = bits_.find(p.name);
    if (nn::is_masked(*p.module, p.slot)) {
      out.add(nn::original_of(p.name), p.module->tensor(nn::original_of(p.slot)).detach());
      Tensor& mask = masks[p.module->tensor(nn::mask_of(p.slot)).bytes()];  // that of tied tensors is one
      if (!mask.defined()) mask = mask_of_output(p);
      out.add(nn::mask_of(p.name), mask);
    } else if (bits == bits_.end()) {
      out.add(p.name, p.value());
    } else if (keep_masks) {
      out.add(nn::original_of(p.name), p.value());
      out.add(nn::mask_of(p.name), nn::unpack_bits(bits->second, p.value().shape(), p.value().dtype()));
    } else {
      out.add(p.name, product_of(p, bits->second));
    }
  }
  return out;
}

}  // namespace coppice::sparsity
