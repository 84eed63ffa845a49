// Copies, states and the text of a data sparsifier.
#include <map>

#include "coppice/engine/checked.h"
#include "coppice/sparsity/data/base_data_sparsifier.h"
#include "slot.h"

namespace coppice::sparsity {
namespace {

/// Own numbers, outside any graph, that do not require grad.
Tensor snapshot(const Tensor& t) { return t.detach().clone(); }

}  // namespace

BaseDataSparsifier::BaseDataSparsifier(const BaseDataSparsifier& other)
    : enable_mask_update(other.enable_mask_update), defaults_(other.defaults_.clone()), step_count_(other.step_count_) {
  for (const auto& [name, e] : other.entries_) {
    const bool parametrized = e.slot->is_parametrized();
    const Tensor from = parametrized ? e.slot->original() : e.slot->value();
    Tensor data = snapshot(from);
    if (from.requires_grad()) data.requires_grad_();
    Entry copy{std::make_shared<DataSlot>(data), snapshot(e.mask), e.config.clone(), e.more.clone()};
    if (parametrized) copy.slot->parametrize(copy.mask, copy.config);
    entries_.set(name, std::move(copy));
  }
}

DataSparsifierState BaseDataSparsifier::state_dict() const {
  DataSparsifierState out;
  out.enable_mask_update = enable_mask_update;
  out.settings = settings();
  for (const auto& [name, e] : entries_) {
    out.state.set(name, {to_coo(e.mask), e.more.clone()});
    out.data_groups.set(name, e.config.clone());
    if (e.slot->is_parametrized())
      out.container.add(original_key(name), snapshot(e.slot->original()));
    else
      out.container.add(name, snapshot(e.slot->value()));
  }
  return out;
}

void BaseDataSparsifier::load_state_dict(const DataSparsifierState& from, bool strict) {
  OrderedMap<Entry> all = strict ? OrderedMap<Entry>() : entries_;
  for (const auto& [name, stored] : from.state) {
    if (all.contains(name)) continue;  // not strict: what is here wins
    const Arguments* config = from.data_groups.find(name);
    if (config == nullptr) throw FormatError(cat("[load_state_dict] ", quote(name), " has a mask and no settings"));
    const Tensor* original = from.container.find(original_key(name));
    const Tensor* squashed = from.container.find(name);
    if (original == nullptr && squashed == nullptr)
      throw FormatError(cat("[load_state_dict] ", quote(name), " has a mask and no data"));
    const Tensor data = snapshot(squashed != nullptr ? *squashed : *original);
    check_name(name);
    check(name, data, resolved(*config));
    Entry made = masked(data, to_dense(stored.mask), config->clone());
    made.more = stored.more.clone();
    if (squashed != nullptr) made.slot->squash(false);
    all.set(name, std::move(made));
  }
  if (strict) {
    load_settings(from.settings);
    enable_mask_update = from.enable_mask_update;
  }
  entries_ = std::move(all);
}

std::string to_string(const BaseDataSparsifier& sparsifier) {
  std::string out = cat(sparsifier.type_name(), " (");
  for (const auto& [name, e] : sparsifier.entries_) {
    out += cat("\n\tData Group\n\t    name: ", name, "\n");
    std::map<std::string, std::string> sorted;
    for (const auto& [key, value] : sparsifier.resolved(e.config)) {
      const auto* text = std::get_if<std::string>(&value);
      sorted[key] = text != nullptr ? *text : to_string(value);
    }
    sorted.erase("data");
    for (const auto& [key, value] : sorted) out += cat("\t    ", key, ": ", value, "\n");
  }
  return out + ")";
}

}  // namespace coppice::sparsity
