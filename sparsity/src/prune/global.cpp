#include "coppice/sparsity/prune/global.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/nn/masks/names.h"
#include "coppice/sparsity/prune/prune.h"
#include "left.h"
#include "target.h"

namespace coppice::sparsity::prune {
namespace {

/// What one target ranks by, or an undefined tensor: its values.
Tensor given_scores(const Target& target, const Shape& shape, const TargetScores& scores) {
  const auto given = scores.find(target);
  if (given == scores.end()) return {};
  if (!given->second.defined()) throw TypeError(cat("[global_unstructured] scores of '", target.second, "' undefined"));
  if (given->second.numel() != shape.numel())
    throw IndexError(
        cat("[global_unstructured] scores ", given->second.shape(), " for '", target.second, "' of shape ", shape));
  return given->second.detach();
}

/// The mask of `target` so far; undefined if it has none.
Tensor mask_so_far(const Target& target) {
  const auto& [module, name] = target;
  return nn::is_masked(*module, name) ? module->tensor(nn::mask_of(name)).detach() : Tensor();
}

/// Masks by any method, which sees all values that are left as one axis.
TensorList joined_masks(const Method& method, const std::vector<Target>& targets, const TargetScores& scores) {
  TensorList ranked, masks, out;
  for (const Target& target : targets) {
    const Tensor value = prunable(*target.first, target.second);
    const Tensor given = given_scores(target, value.shape(), scores), mask = mask_so_far(target);
    ranked.push_back((given.defined() ? given : value).reshape({-1}));
    masks.push_back((mask.defined() ? mask : ones_like(value)).reshape({-1}));
  }
  const Tensor all = combine(method, cat_tensors(ranked), cat_tensors(masks));
  std::int64_t start = 0;
  for (const Target& target : targets) {
    const Shape& shape = prunable_original(*target.first, target.second).shape();
    out.push_back(narrow(all, 0, start, shape.numel()).reshape(shape));
    start += shape.numel();
  }
  return out;
}

}  // namespace

void global_unstructured(const std::vector<Target>& targets, const MethodPtr& method, const TargetScores& scores) {
  if (targets.empty()) throw ValueError("[global_unstructured] no parameters");
  if (!method) throw TypeError("[global_unstructured] not a pruning method: null");
  NoGrad guard;
  const auto probe = std::make_shared<CustomFromMask>();
  for (const auto& [module, name] : targets) {
    if (module == nullptr) throw TypeError("[global_unstructured] not a module: null");
    (void)prunable_original(*module, name);
    (void)joined(*module, name, probe);  // refuses what a record is for another tensor, before anything is drawn
  }
  if (method->pruning_type() != PruningType::unstructured)
    throw TypeError(cat("[global_unstructured] ", method->type_name(), " is not unstructured"));
  std::vector<Ranked> all;
  for (const Target& target : targets) {
    const auto& [module, name] = target;
    // What is left has the mask 1, where value and original are equal: no need to compute the product.
    const Tensor original = prunable_original(*module, name).detach();
    const Tensor given = given_scores(target, original.shape(), scores);
    all.push_back({given.defined() ? given : original, mask_so_far(target), original.shape(), original.dtype()});
  }
  std::optional<TensorList> masks;
  const auto* by_magnitude = dynamic_cast<const L1Unstructured*>(method.get());
  if (by_magnitude != nullptr) masks = prune_left(*by_magnitude, all);
  const bool final = masks.has_value();  // they hold the earlier masks already
  if (!final) masks = joined_masks(*method, targets, scores);

  // Everything is computed before the first module changes.
  std::vector<MethodPtr> methods;
  std::map<Target, Tensor> current;  // of targets named before, for those that are named twice
  TensorList results;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const Tensor& mask = (*masks)[i];
    methods.push_back(named(std::make_shared<CustomFromMask>(mask), targets[i].second));
    const auto before = current.find(targets[i]);
    const Tensor& so_far = before == current.end() ? all[i].mask : before->second;
    if (final && before == current.end())
      results.push_back(mask);
    else if (so_far.defined())
      results.push_back(combine(*methods.back(), mask.to(all[i].dtype), so_far));
    else
      results.push_back(methods.back()->first_mask(mask, all[i].dtype));
    current.insert_or_assign(targets[i], results.back());
  }
  for (std::size_t i = 0; i < targets.size(); ++i)
    install(*targets[i].first, targets[i].second, results[i], methods[i]);
}

}  // namespace coppice::sparsity::prune
