#include "coppice/sparsity/activation/functions.h"

#include <map>
#include <mutex>

#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "fold.h"

namespace coppice::sparsity {
namespace {

/// What mask functions have declared.
struct Declared {
  std::mutex mutex;
  std::map<std::string, Arguments, std::less<>> table;
};
Declared& declared() {
  static Declared instance;
  return instance;
}

template <class Signature>
std::shared_ptr<const std::function<Signature>> named(std::string_view name) {
  register_activation_functions();
  return std::make_shared<const std::function<Signature>>(registered_function<Signature>(name));
}

template <class Signature>
std::shared_ptr<const std::function<Signature>> own(const char* role, std::function<Signature> function) {
  if (!function) throw ValueError(cat("[ActivationSparsifier] ", role, " is an empty function"));
  return std::make_shared<const std::function<Signature>>(std::move(function));
}

std::shared_ptr<const Aggregator> checked(std::shared_ptr<const Aggregator> aggregator) {
  if (aggregator == nullptr) throw ValueError("[ActivationSparsifier] aggregate_fn is null");
  return aggregator;
}

std::shared_ptr<const Aggregator> named_aggregator(std::string_view name) {
  register_activation_functions();
  std::function<AggregatorSignature> make;
  try {
    make = registered_function<AggregatorSignature>(name);
  } catch (const TypeError&) {
    return std::make_shared<ZeroFold>(registered_function<AggregateSignature>(name));
  }
  return checked(make());
}

}  // namespace

AggregateFunction::AggregateFunction(std::string_view name)
    : ActivationFunction(std::string(name), named_aggregator(name)) {}
AggregateFunction::AggregateFunction(std::function<AggregateSignature> function)
    : ActivationFunction("", std::make_shared<ZeroFold>(*own("aggregate_fn", std::move(function)))) {}
AggregateFunction::AggregateFunction(std::shared_ptr<const Aggregator> aggregator)
    : ActivationFunction("", checked(std::move(aggregator))) {}

ReduceFunction::ReduceFunction(std::string_view name)
    : ActivationFunction(std::string(name), named<ReduceSignature>(name)) {}
ReduceFunction::ReduceFunction(std::function<ReduceSignature> function)
    : ActivationFunction("", own("reduce_fn", std::move(function))) {}

MaskFunction::MaskFunction(std::string_view name) : ActivationFunction(std::string(name), named<MaskSignature>(name)) {}
MaskFunction::MaskFunction(std::function<MaskSignature> function)
    : ActivationFunction("", own("mask_fn", std::move(function))) {}

void MaskFunction::check(const Arguments& sparse_config) const {
  Declared& d = declared();
  const std::scoped_lock lock(d.mutex);
  const auto found = d.table.find(name());
  if (found == d.table.end()) return;
  const Arguments& parameters = found->second;
  for (const auto& [key, value] : sparse_config) {
    bool known = false;
    for (const auto& [parameter, fallback] : parameters) known = known || parameter == key;
    if (!known) throw TypeError(cat("[ActivationSparsifier] ", quote(name()), " has no setting ", quote(key)));
  }
  for (const auto& [parameter, fallback] : parameters)
    if (std::holds_alternative<std::monostate>(fallback) && !sparse_config.has(parameter))
      throw KeyError(cat("[ActivationSparsifier] ", quote(name()), " needs the setting ", quote(parameter)));
}

Tensor MaskFunction::operator()(const Tensor& reduced, const Arguments& sparse_config) const {
  Arguments fresh;  // remembers for itself what is read
  for (const auto& [key, value] : sparse_config) fresh.set(key, value);
  Tensor mask = held()(reduced, fresh);
  try {
    fresh.reject_unread("mask_fn");
  } catch (const KeyError& e) {
    throw TypeError(e.what());
  }
  if (!mask.defined()) throw TypeError("[ActivationSparsifier] mask_fn gives no tensor");
  return mask.detach();
}

void register_mask_function(std::string_view name, std::function<MaskSignature> function, const Arguments& parameters) {
  Declared& d = declared();
  const std::scoped_lock lock(d.mutex);
  Arguments own = parameters.clone();
  register_function<MaskSignature>(name, std::move(function));
  d.table.emplace(std::string(name), std::move(own));
}

}  // namespace coppice::sparsity
