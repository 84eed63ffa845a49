#include "coppice/sparsity/data/data_sparsifier_state.h"

#include "../mask_arguments.h"
#include "coppice/engine/checked.h"
#include "slot.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kFormat = 1;

DataSparsifierState read(const Arguments& arguments, const Limits& limits) {
  if (const std::int64_t format = arguments.integer("format"); format != kFormat)
    throw ValueError(cat("[data_sparsifier_state] format version ", kFormat, " is read; got ", format));
  DataSparsifierState out;
  out.enable_mask_update = arguments.boolean("enable_mask_update");
  out.settings = arguments.map("settings").clone();
  MemoryBudget budget = budget_of("data_sparsifier_state", arguments, limits);
  const Arguments& data = arguments.map("data");
  for (const auto& [name, entry] : data) {
    const Arguments& e = data.map(name);
    out.state.set(name, {mask_from_arguments(e.map("mask"), budget), e.map("state").clone()});
    out.data_groups.set(name, e.map("config").clone());
    if (e.has("original"))
      out.container.add(original_key(name), e.tensor("original"));
    else
      out.container.add(name, e.tensor("squashed"));
    e.reject_unread("a datum");
  }
  arguments.reject_unread("the state of a data sparsifier");
  return out;
}

}  // namespace

Arguments to_arguments(const DataSparsifierState& state) {
  Arguments data;
  for (const auto& [name, entry] : state.state) {
    const Arguments* config = state.data_groups.find(name);
    const Tensor* original = state.container.find(original_key(name));
    const Tensor* squashed = state.container.find(name);
    if (config == nullptr || (original == nullptr && squashed == nullptr))
      throw KeyError(
          cat("[to_arguments] ", quote(name), " has a mask and no ", config == nullptr ? "settings" : "data"));
    Arguments e;
    e.set("mask", mask_to_arguments(entry.mask));
    e.set("state", entry.more);
    e.set("config", *config);
    e.set(squashed != nullptr ? "squashed" : "original", squashed != nullptr ? *squashed : *original);
    data.set(name, std::move(e));
  }
  return {{"format", kFormat},
          {"enable_mask_update", state.enable_mask_update},
          {"settings", state.settings},
          {"data", std::move(data)}};
}

DataSparsifierState data_sparsifier_state(const Arguments& arguments, const Limits& limits) {
  const Arguments own = arguments.clone();  // remembers for itself what was read
  return from_file("[data_sparsifier_state] ", [&] { return read(own, limits); });
}

}  // namespace coppice::sparsity
