#include "coppice/sparsity/prune/one_shot.h"

#include <algorithm>
#include <array>

#include "coppice/engine/create.h"
#include "coppice/engine/random.h"

namespace coppice::sparsity {
namespace {

const std::vector<std::string> kNames{"l1_unstructured",   "random_unstructured", "ln_structured",
                                      "random_structured", "global_l1",           "global_random"};

/// Settings are checked for all weights first, so that a bad one costs no random numbers.
void check(const Tensor& weight, const PruneRequest& r) {
  if (!is_structured(r.method)) {
    (void)r.amount.of(weight.numel());
    return;
  }
  if (weight.dim() < 2)
    throw ShapeError(cat("[", name_of(r.method), "] needs at least 2 axes; got shape ", weight.shape()));
  (void)r.amount.of(weight.size(resolve_axis(kNames[static_cast<std::size_t>(r.method)].c_str(), r.dim, weight.dim())));
}

/// check(), whose message names the weight.
void check(const Tensor& weight, const PruneRequest& r, const std::string& name) {
  const auto say = [&](const Error& e) { return cat("'", name, "': ", e.what()); };
  try {
    check(weight, r);
  } catch (const ShapeError& e) {
    throw ShapeError(say(e));
  } catch (const ValueError& e) {
    throw ValueError(say(e));
  } catch (const IndexError& e) {
    throw IndexError(say(e));
  }
}

Tensor mask_of(const Tensor& w, const PruneRequest& r, Generator& generator) {
  if (!is_structured(r.method)) {
    const std::int64_t count = r.amount.of(w.numel());
    if (r.method == PruneMethod::l1_unstructured) return mask_smallest(w, count, r.ties);
    return count == 0 ? ones_like(w) : mask_random(w, count, generator, r.ties);
  }
  const std::int64_t count = r.amount.of(w.size(r.dim));
  if (r.method == PruneMethod::random_structured) return mask_random_channels(w, count, r.dim, generator, r.ties);
  return mask_channels(w, channel_norms(w, r.n, r.dim), count, r.dim, r.ties);
}

}  // namespace

std::string_view name_of(PruneMethod method) { return kNames[static_cast<std::size_t>(method)]; }
const std::vector<std::string>& prune_method_names() { return kNames; }

std::optional<PruneMethod> prune_method_from_name(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<PruneMethod>(found - kNames.begin());
}

bool is_structured(PruneMethod method) {
  return method == PruneMethod::ln_structured || method == PruneMethod::random_structured;
}

TensorList prune_masks(const TensorList& weights, const PruneRequest& r, Generator& generator,
                       const std::vector<std::string>& names) {
  TensorList masks;
  if (r.method != PruneMethod::global_l1 && r.method != PruneMethod::global_random) {
    for (std::size_t i = 0; i < weights.size(); ++i)
      i < names.size() ? check(weights[i], r, names[i]) : check(weights[i], r);
    for (const Tensor& w : weights) masks.push_back(mask_of(w, r, generator));
    return masks;
  }
  std::int64_t total = 0;
  for (const Tensor& w : weights) total += w.numel();
  const std::int64_t count = r.amount.of(total);
  if (r.method == PruneMethod::global_l1) return select_masks(weights, {.count = count, .ties = r.ties});
  // PyTorch joins the weights to one vector first: the draws have the type that holds all of theirs.
  Dtype dtype = weights.empty() ? Dtype::f32 : weights[0].dtype();
  for (const Tensor& w : weights) dtype = promote(dtype, w.dtype());
  if (!is_floating(dtype)) dtype = Dtype::f32;
  TensorList draws;
  for (const Tensor& w : weights) draws.push_back(rand(w.shape(), dtype, &generator));
  masks = select_masks(draws, {.count = count, .magnitude = false, .largest = true, .ties = r.ties});
  for (std::size_t i = 0; i < masks.size(); ++i) masks[i] = masks[i].to(weights[i].dtype());
  return masks;
}

}  // namespace coppice::sparsity
