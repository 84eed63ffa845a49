#include "parametrize_list.h"

#include <map>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/slots.h"

namespace coppice::nn::parametrize {
namespace {

// A file may ask for any number.
constexpr std::int64_t kMostOriginals = 1000;

/// What this thread remembers while Cached scopes are open. The list is held, so that its address stays its own.
struct Cache {
  int scopes = 0;
  std::map<const Module*, std::pair<std::shared_ptr<const Module>, Tensor>> values;
};
thread_local Cache cache;

std::string original_name(std::size_t i) { return cat(kOriginal, i); }

class Parametrized final : public Derived {
 public:
  explicit Parametrized(std::string name) : name_(std::move(name)) {}
  Tensor value(const Module& owner) const override { return parametrizations_of(owner, name_).value(); }
  std::shared_ptr<Derived> clone() const override { return std::make_shared<Parametrized>(name_); }

  bool assign(Module& owner, const Tensor& wanted) override {
    NoGrad guard;
    ParametrizationList& list = parametrizations_of(owner, name_);
    const Originals found = invert(list, wanted, true);
    const bool single = std::holds_alternative<Tensor>(found);
    const TensorList given = single ? TensorList{std::get<Tensor>(found)} : std::get<TensorList>(found);
    TensorList own = Access::slots(list);
    if (single != list.is_tensor() || given.size() != own.size())
      throw ValueError(
          cat("[set_tensor] right_inverse of '", name_, "' gave ", given.size(), " originals; there are ", own.size()));
    for (std::size_t i = 0; i < own.size(); ++i)
      if (!given[i].defined() || given[i].dtype() != own[i].dtype())
        throw ValueError(cat("[set_tensor] right_inverse of '", name_, "' must give ", own[i].dtype(), "; got ",
                             given[i].defined() ? to_string(given[i].dtype()) : std::string("nothing")));
    // A copy, so that what the caller does to its tensor later stays its own affair.
    for (std::size_t i = 0; i < own.size(); ++i) own[i].replace_(given[i].detach().clone());
    return true;
  }

 private:
  std::string name_;
};

}  // namespace

Cached::Cached() { ++cache.scopes; }
Cached::~Cached() {
  if (--cache.scopes == 0) cache.values.clear();
}

ParametrizationList::ParametrizationList(const Arguments& a)
    : unsafe_(a.boolean("unsafe", false)), buffer_(a.boolean("buffer", false)) {
  const std::int64_t count = a.integer("originals", 0);
  if (count < 0 || count > kMostOriginals)
    throw ValueError(cat("[ParametrizationList] originals must be in 0..", kMostOriginals, "; got ", count));
  count_ = static_cast<std::size_t>(count);
  for (std::size_t i = 0; i < std::max<std::size_t>(count_, 1); ++i) {
    const std::string name = count_ == 0 ? kOriginal : original_name(i);
    const std::string type = a.text(cat(name, "_dtype"), "float32");
    const auto dtype = dtype_from_name(type);
    if (!dtype) throw ValueError(cat("[ParametrizationList] unknown dtype ", quote(type)));
    const Tensor slot = Tensor::empty(Shape(a.integers(cat(name, "_shape"))), *dtype);
    if (buffer_)
      register_buffer(name, slot);
    else
      register_parameter(name, slot);
  }
}

Arguments ParametrizationList::arguments() const {
  Arguments out;
  const TensorList all = originals();
  if (count_ > 0) out.set("originals", static_cast<std::int64_t>(count_));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Shape& shape = all[i].shape();
    const std::string name = count_ == 0 ? kOriginal : original_name(i);
    out.set(cat(name, "_shape"), std::vector<std::int64_t>(shape.begin(), shape.end()));
    if (all[i].dtype() != Dtype::f32) out.set(cat(name, "_dtype"), to_string(all[i].dtype()));
  }
  if (unsafe_) out.set("unsafe", true);
  if (buffer_) out.set("buffer", true);
  return out;
}

TensorList ParametrizationList::originals() const {
  if (count_ == 0) return {tensor(kOriginal)};
  TensorList out;
  for (std::size_t i = 0; i < count_; ++i) out.push_back(tensor(original_name(i)));
  return out;
}

Tensor ParametrizationList::compute(const TensorList& originals) const {
  TensorList x = originals;
  for (const auto& [index, parametrization] : children()) {
    if (index == kChild) continue;  // the originals are parametrized themselves
    TensorList y = (*parametrization)(x);
    if (y.size() != 1 || !y[0].defined())
      throw ValueError(cat("[parametrize] ", parametrization->type_name(), " must give one tensor; got ", y.size()));
    x = std::move(y);
  }
  return x.at(0);
}

Tensor ParametrizationList::value() const {
  if (cache.scopes == 0) return compute(originals());
  const auto found = cache.values.find(this);
  if (found != cache.values.end()) return found->second.second;
  const Tensor fresh = compute(originals());
  cache.values.emplace(this, std::pair(shared_from_this(), fresh));
  return fresh;
}

std::size_t ParametrizationList::size() const { return children().size() - (children().contains(kChild) ? 1 : 0); }

TensorList ParametrizationList::forward(const TensorList&) const { return {value()}; }

std::shared_ptr<ParametrizationList> Access::make(bool buffer) {
  std::shared_ptr<ParametrizationList> list(new ParametrizationList());
  list->buffer_ = buffer;
  return list;
}

Tensor Access::compute(const ParametrizationList& list, const TensorList& originals) {
  NoGrad guard;
  return list.compute(originals);
}

TensorList Access::slots(const ParametrizationList& list) {
  TensorList out;
  for (std::size_t i = 0; i < std::max<std::size_t>(list.count_, 1); ++i) {
    const std::string name = list.count_ == 0 ? kOriginal : original_name(i);
    const Tensor* slot = list.buffer_ ? list.own_buffers().find(name) : list.own_parameters().find(name);
    if (slot == nullptr)
      throw StateError(cat("[parametrize] '", name, "' is pruned or parametrized itself; undo that first"));
    out.push_back(*slot);
  }
  return out;
}

void Access::append(ParametrizationList& list, ModulePtr parametrization, bool unsafe) {
  list.add_module(cat(list.size()), std::move(parametrization));
  list.unsafe_ = list.unsafe_ || unsafe;
}

void Access::set_originals(ParametrizationList& list, const TensorList& originals, bool single) {
  if (list.has(kOriginal)) list.slots().erase(kOriginal);
  for (std::size_t i = 0; i < list.count_; ++i) list.slots().erase(original_name(i));
  list.count_ = single ? 0 : originals.size();
  for (std::size_t i = 0; i < originals.size(); ++i) {
    Tensor original = originals[i];
    const std::string name = single ? kOriginal : original_name(i);
    const bool grad = original.requires_grad();
    if (list.buffer_)
      list.register_buffer(name, original);
    else
      list.register_parameter(name, original);
    // A buffer may be the result of an operation, whose flag cannot be set, not even to what it is.
    if (original.requires_grad() != grad) original.requires_grad_(grad);
  }
}

std::shared_ptr<Derived> parametrized(std::string name) { return std::make_shared<Parametrized>(std::move(name)); }

Originals invert(const ParametrizationList& list, const Tensor& value, bool all) {
  Originals now = value;
  const std::vector<std::pair<std::string, ModulePtr>> order(list.children().begin(), list.children().end());
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    if (it->first == kChild) continue;
    const auto* inverse = dynamic_cast<const RightInverse*>(it->second.get());
    if (inverse == nullptr) {
      if (!all) continue;
      throw StateError(cat("[set_tensor] ", it->second->type_name(),
                           " has no right_inverse: a tensor that it computes cannot be written"));
    }
    const Tensor* one = std::get_if<Tensor>(&now);
    if (one == nullptr)
      throw ValueError(cat("[parametrize] only the first parametrization may have several originals; ",
                           it->second->type_name(), " is number ", list.size() - 1));
    try {
      now = inverse->right_inverse(*one);
    } catch (const NotSupported&) {
      if (all) throw;
    }
  }
  return now;
}

}  // namespace coppice::nn::parametrize
