#include "io/masked_values.h"

#include <cmath>
#include <string>

#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/nn/bits.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"

namespace coppice::nn {
namespace {

/// The mask of the original `name`, or nullptr.
const Tensor* find_mask(const Module& module, std::string_view name) {
  const auto masked = name_of_original(name);
  return masked && is_masked(module, *masked) ? module.own_buffers().find(mask_of(*masked)) : nullptr;
}

/// Calls `each(i, kept)` for the entries in row-major order.
template <class F>
void walk(const Tensor& mask, F each) {
  dispatch(mask.dtype(), [&]<class T>() {
    const auto entries = mask.data<T>();
    for (std::size_t i = 0; i < entries.size(); ++i) each(i, convert<double>(entries[i]) != 0);
  });
}

std::int64_t count_kept(const Tensor& mask) {
  std::int64_t count = 0;
  walk(mask, [&](std::size_t, bool kept) { count += kept ? 1 : 0; });
  return count;
}

}  // namespace

std::size_t masks_on(const Module& module, std::string_view name) {
  std::size_t count = 0;
  for (; find_mask(module, name) != nullptr; name = *name_of_original(name)) ++count;
  return count;
}

bool can_drop_masked(const Module& module, std::string_view name) {
  const Tensor* mask = find_mask(module, name);
  const Tensor* original = module.own_parameters().find(name);
  if (mask == nullptr || original == nullptr || !is_floating(original->dtype()) || !is_binary(*mask)) return false;
  if (mask->shape() != original->shape())
    throw ShapeError(cat("[save_model] mask ", mask->shape(), " for ", quote(name), " of shape ", original->shape()));
  return dispatch(original->dtype(), [&]<class T>() {
    const auto values = original->data<T>();
    bool removed = false, finite = true;
    walk(*mask, [&](std::size_t i, bool kept) {
      removed = removed || !kept;
      finite = finite && (kept || std::isfinite(convert<double>(values[i])));
    });
    return removed && finite;
  });
}

Tensor kept_values(const Module& module, std::string_view name) {
  const Tensor& mask = *find_mask(module, name);
  const Tensor& original = *module.own_parameters().find(name);
  Tensor out = Tensor::empty({count_kept(mask)}, original.dtype());
  dispatch(original.dtype(), [&]<class T>() {
    const auto from = original.data<T>();
    const auto to = out.mutable_data<T>();
    std::size_t at = 0;
    walk(mask, [&](std::size_t i, bool kept) {
      if (kept) to[at++] = from[i];
    });
  });
  return out;
}

Tensor with_masked_zeros(const Module& module, std::string_view name, const Tensor& given, MemoryBudget& budget) {
  const Tensor* mask = find_mask(module, name);
  const Tensor* slot = module.own_parameters().find(name);
  if (mask == nullptr || slot == nullptr || given.shape() == slot->shape()) return given;
  if (given.dim() != 1 || !is_binary(*mask) || given.numel() != count_kept(*mask)) return given;
  budget.take(static_cast<std::uint64_t>(slot->numel()) * itemsize(given.dtype()), cat("pruned tensor ", quote(name)));
  Tensor out = zeros(slot->shape(), given.dtype());
  dispatch(given.dtype(), [&]<class T>() {
    const auto from = given.data<T>();
    const auto to = out.mutable_data<T>();
    std::size_t at = 0;
    walk(*mask, [&](std::size_t i, bool kept) {
      if (kept) to[i] = from[at++];
    });
  });
  return out;
}

}  // namespace coppice::nn
