#include "coppice/sparsity/prune/method.h"

#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/sparsity/prune/by_sparsifier.h"
#include "coppice/sparsity/prune/custom.h"
#include "coppice/sparsity/prune/structured.h"
#include "coppice/sparsity/prune/unstructured.h"

namespace coppice::sparsity::prune {
namespace {

/// A step whose type is not registered here: kept, so that saving again loses nothing.
class Recorded final : public Method {
 public:
  explicit Recorded(nn::MaskStep step) : step_(std::move(step)) {}
  std::string_view type_name() const override { return step_.type; }
  nn::Arguments arguments() const override { return step_.arguments; }
  std::shared_ptr<Method> copy() const override { return std::make_shared<Recorded>(*this); }
  Tensor compute_mask(const Tensor&, const Tensor&) const override {
    throw StateError(cat("[prune] method type '", step_.type, "' is not registered"));
  }

 private:
  nn::MaskStep step_;
};

Amount read_amount(const nn::Arguments& a) {
  for (const auto& [key, value] : a) {
    if (key != "amount") continue;
    if (const auto* count = std::get_if<std::int64_t>(&value)) return {*count};
    if (const auto* fraction = std::get_if<double>(&value)) return {*fraction};
  }
  throw TypeError("[prune] a method without a number as its amount");
}

NormOrder read_order(const nn::Arguments& a) {
  for (const auto& [key, value] : a) {
    const auto* word = std::get_if<std::string>(&value);
    if (key != "n" || word == nullptr) continue;
    return NormOrder::parse(*word);
  }
  return a.number("n", 2);
}

TieRule read_ties(const nn::Arguments& a) {
  const std::string ties = a.text("ties", "lowest_index");
  if (ties == "lowest_index") return TieRule::lowest_index;
  if (ties == "pytorch") return TieRule::pytorch;
  throw ValueError(cat("[prune] unknown tie rule '", ties, "'"));
}

MethodPtr read_sparsifier(const nn::Arguments& a) {
  nn::Arguments settings;
  for (const auto& [key, value] : a)
    if (key != "sparsifier" && key != "ties") settings.set(key, value);
  return std::make_shared<BySparsifier>(a.text("sparsifier"), settings, read_ties(a));
}

struct Registry {
  std::mutex mutex;
  std::map<std::string, MethodFactory, std::less<>> factories{
      {"Identity", [](const nn::Arguments&) { return std::make_shared<IdentityMethod>(); }},
      {"BySparsifier", read_sparsifier},
      {"CustomFromMask", [](const nn::Arguments&) { return std::make_shared<CustomFromMask>(); }},
      {"RandomUnstructured",
       [](const nn::Arguments& a) { return std::make_shared<RandomUnstructured>(read_amount(a), read_ties(a)); }},
      {"L1Unstructured",
       [](const nn::Arguments& a) { return std::make_shared<L1Unstructured>(read_amount(a), read_ties(a)); }},
      {"RandomStructured",
       [](const nn::Arguments& a) {
         return std::make_shared<RandomStructured>(read_amount(a), a.integer("dim", -1), read_ties(a));
       }},
      {"LnStructured", [](const nn::Arguments& a) {
         return std::make_shared<LnStructured>(read_amount(a), read_order(a), a.integer("dim", -1), read_ties(a));
       }}};
};
Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

Tensor Method::first_mask(const Tensor& scores, Dtype dtype) const {
  return compute_mask(scores, ones(scores.shape(), dtype));
}

Tensor Method::prune(const Tensor& t, const Tensor& default_mask, const Tensor& scores) const {
  if (scores.defined() && scores.shape() != t.shape())
    throw ShapeError(cat("[prune] scores ", scores.shape(), " for a tensor of shape ", t.shape()));
  if (default_mask.defined() && default_mask.shape() != t.shape())
    throw ShapeError(cat("[prune] default mask ", default_mask.shape(), " for a tensor of shape ", t.shape()));
  Tensor mask;
  {
    NoGrad guard;
    const Tensor ranked = (scores.defined() ? scores : t).detach();
    mask = default_mask.defined() ? compute_mask(ranked, default_mask) : first_mask(ranked, t.dtype());
  }
  return mul(t, mask);
}

std::vector<nn::MaskStep> Method::steps() const { return {{std::string(type_name()), arguments()}}; }

void register_method(std::string type_name, MethodFactory factory) {
  if (type_name.empty() || !factory) throw ValueError("[register_method] needs a name and a function");
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.factories.insert_or_assign(std::move(type_name), std::move(factory));
}

MethodPtr make_method(const nn::MaskStep& step) {
  MethodFactory factory;
  {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    if (const auto it = all.factories.find(step.type); it != all.factories.end()) factory = it->second;
  }
  if (!factory) return std::make_shared<Recorded>(step);
  MethodPtr made = factory(step.arguments);
  if (!made) throw ValueError(cat("[make_method] the function for '", step.type, "' returned nothing"));
  return made;
}

}  // namespace coppice::sparsity::prune
