#include "coppice/sparsity/prune/global.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/sparsity/prune/prune.h"
#include "target.h"

namespace coppice::sparsity::prune {

void global_unstructured(const std::vector<Target>& targets, const MethodPtr& method, const TargetScores& scores) {
  if (targets.empty()) throw ValueError("[global_unstructured] no parameters");
  if (!method) throw TypeError("[global_unstructured] not a pruning method: null");
  if (method->pruning_type() != PruningType::unstructured)
    throw TypeError(cat("[global_unstructured] ", method->type_name(), " is not unstructured"));
  NoGrad guard;
  TensorList ranked, masks;
  for (const Target& target : targets) {
    const auto& [module, name] = target;
    if (module == nullptr) throw TypeError("[global_unstructured] not a module: null");
    const Tensor value = prunable(*module, name);
    const auto given = scores.find(target);
    if (given != scores.end() && given->second.numel() != value.numel())
      throw IndexError(cat("[global_unstructured] scores ", given->second.shape(), " for '", name, "' of shape ",
                           value.shape()));
    ranked.push_back((given == scores.end() ? value : given->second.detach()).reshape({-1}));
    const Tensor mask = nn::is_masked(*module, name) ? module->tensor(name + "_mask").detach() : ones_like(value);
    masks.push_back(mask.reshape({-1}));
  }
  const Tensor all = combine(*method, cat_tensors(ranked), cat_tensors(masks));
  std::int64_t start = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const auto& [module, name] = targets[i];
    const Shape shape = prunable(*module, name).shape();
    custom_from_mask(*module, name, narrow(all, 0, start, shape.numel()).reshape(shape));
    start += shape.numel();
  }
}

}  // namespace coppice::sparsity::prune
