#include "coppice/sparsity/data/base_data_sparsifier.h"

#include <algorithm>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/warn.h"
#include "coppice/nn/parametrize.h"
#include "slot.h"

namespace coppice::sparsity {
namespace {

/// `config` over `base`.
Arguments merged(const Arguments& base, const Arguments& config) {
  Arguments out = base.clone();
  for (const auto& [key, value] : config) out.set(key, value);
  return out;
}

/// Of one's own, so that no two data share it.
Tensor first_mask(const Arguments& config, const Tensor& data) {
  return config.has("mask") ? config.tensor("mask").detach().clone() : ones_like(data.detach());
}

}  // namespace

BaseDataSparsifier::BaseDataSparsifier(const DataList& data_list, Arguments defaults) : defaults_(std::move(defaults)) {
  add_all(data_list);
}

void BaseDataSparsifier::add_all(const DataList& data_list, const OrderedMap<Arguments>& config) {
  OrderedMap<Entry> before = entries_;
  try {
    for (const auto& [name, data] : data_list) {
      const Arguments* own = config.find(name);
      add_data(name, data, own == nullptr ? Arguments() : *own);
    }
  } catch (...) {
    entries_ = std::move(before);
    throw;
  }
}

BaseDataSparsifier::Entry BaseDataSparsifier::masked(const Tensor& data, Tensor mask, Arguments config) const {
  if (mask.shape() != data.shape())
    throw ShapeError(cat("[", type_name(), "] mask ", mask.shape(), " for a tensor of shape ", data.shape()));
  auto slot = std::make_shared<DataSlot>(data);
  slot->parametrize(mask, config);
  return {std::move(slot), std::move(mask), std::move(config), {}};
}

void BaseDataSparsifier::check_name(std::string_view name) {
  if (name.empty()) throw KeyError("[add_data] the name of a datum is empty");
  if (name.find('.') != std::string_view::npos)
    throw KeyError(cat("[add_data] the name of a datum must not have a dot; got ", quote(name)));
  if (name == "parametrizations") throw KeyError("[add_data] 'parametrizations' cannot be the name of a datum");
}

Tensor BaseDataSparsifier::add_data(const std::string& name, const Datum& data, const Arguments& config,
                                    bool reuse_mask) {
  check_name(name);
  const Entry* old = entries_.find(name);
  Arguments own = merged(old == nullptr ? defaults_ : old->config, config);
  check(name, data.tensor(), resolved(own));
  Tensor mask;
  if (old == nullptr) {
    mask = first_mask(own, data.tensor());
  } else if (reuse_mask) {
    const Shape shape = old->slot->value().shape();
    if (data.tensor().shape() != shape)
      throw ShapeError(cat("[add_data] ", quote(name), " has shape ", shape, " and is replaced by ",
                           data.tensor().shape(), "; reuse_mask = false allows it"));
    mask = old->mask;
  } else {
    mask = first_mask(merged(defaults_, config), data.tensor());
  }
  Entry made = masked(data.tensor(), std::move(mask), std::move(own));
  if (old != nullptr) {
    warn(cat("[add_data] ", quote(name), " exists already and is replaced"));
    OrderedMap<Entry> all = entries_;
    all.erase(name);
    all.set(name, std::move(made));
    entries_ = std::move(all);
  } else {
    entries_.set(name, std::move(made));
  }
  return get_data(name, false);
}

const BaseDataSparsifier::Entry& BaseDataSparsifier::entry(const char* op, std::string_view name) const {
  if (const Entry* found = entries_.find(name)) return *found;
  throw ValueError(cat("[", op, "] there is no datum ", quote(name)));
}

BaseDataSparsifier::Entry& BaseDataSparsifier::entry(const char* op, std::string_view name) {
  return const_cast<Entry&>(std::as_const(*this).entry(op, name));
}

Tensor BaseDataSparsifier::get_data(std::string_view name, bool return_original) const {
  const DataSlot& slot = *entry("get_data", name).slot;
  if (!return_original) return slot.value();
  if (!slot.is_parametrized())
    throw ValueError(cat("[get_data] ", quote(name), " is squashed: it has no original any more"));
  return slot.original();
}

Tensor BaseDataSparsifier::get_mask(std::string_view name) const { return entry("get_mask", name).mask; }

void BaseDataSparsifier::step() {
  if (enable_mask_update) {
    const NoGrad guard;
    for (const auto& [name, e] : entries_) {
      if (!e.slot->is_parametrized())
        throw ValueError(cat("[step] ", quote(name), " is squashed; delete it, or add it again"));
      check(name, e.slot->original(), resolved(e.config));
    }
    for (const std::string& name : names()) {
      const Entry& e = entry("step", name);
      update_mask(name, e.slot->original(), resolved(e.config));
    }
  }
  ++step_count_;
}

void BaseDataSparsifier::squash_mask(const std::optional<std::vector<std::string>>& names, bool leave_parametrized) {
  const std::vector<std::string> which = names ? *names : this->names();
  for (std::size_t i = 0; i < which.size(); ++i) {
    const DataSlot& slot = *entry("squash_mask", which[i]).slot;
    if (!slot.is_parametrized()) throw ValueError(cat("[squash_mask] ", quote(which[i]), " is squashed already"));
    if (std::find(which.begin(), which.begin() + static_cast<std::ptrdiff_t>(i), which[i]) !=
        which.begin() + static_cast<std::ptrdiff_t>(i))
      throw ValueError(cat("[squash_mask] ", quote(which[i]), " is given twice"));
    if (leave_parametrized) slot.check_squashable(which[i]);
  }
  for (const std::string& name : which) {
    const Entry& e = entry("squash_mask", name);
    e.slot->squash(leave_parametrized);
    if (leave_parametrized && !keeps_signs_of_zeros()) e.slot->drop_signs_of_zeros(e.mask);
  }
}

void BaseDataSparsifier::delete_data(std::string_view name) {
  (void)entry("delete_data", name);
  entries_.erase(name);
}

void BaseDataSparsifier::prepare(const nn::Module&, const Arguments&) const {
  throw NotSupported(cat("[", type_name(), "] data are sparsified by name: add_data() takes them, prepare() does not"));
}

std::vector<std::string> BaseDataSparsifier::names() const {
  std::vector<std::string> out;
  for (const auto& [name, e] : entries_) out.push_back(name);
  return out;
}

bool BaseDataSparsifier::is_parametrized(std::string_view name) const {
  const Entry* found = entries_.find(name);
  return found != nullptr && found->slot->is_parametrized();
}

const Arguments& BaseDataSparsifier::group(std::string_view name) const { return entry("group", name).config; }

void BaseDataSparsifier::set_config(std::string_view name, std::string_view key, Argument value) {
  entry("set_config", name).config.set(key, std::move(value));
}

Arguments& BaseDataSparsifier::state(std::string_view name) { return entry("state", name).more; }
const Arguments& BaseDataSparsifier::state(std::string_view name) const { return entry("state", name).more; }

std::unique_ptr<BaseDataSparsifier> BaseDataSparsifier::clone() const {
  throw NotSupported(cat("[clone] ", type_name(), " does not say how it is copied: it has no clone() of its own"));
}

}  // namespace coppice::sparsity
