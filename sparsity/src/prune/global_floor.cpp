#include "coppice/sparsity/prune/global_floor.h"

#include <cmath>
#include <limits>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/select.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/engine/random.h"
#include "coppice/nn/masks/names.h"
#include "coppice/sparsity/prune/unstructured.h"
#include "target.h"

namespace coppice::sparsity::prune {
namespace {

/// A parameter, what it ranks by, and how many of its entries may go.
struct Floored {
  Tensor scores, mask;  // mask: undefined if it has none
  std::int64_t left = 0, free = 0;
};

Floored floored(const Target& target, const Tensor& scores, double share) {
  const auto& [module, name] = target;
  Floored out{scores, nn::is_masked(*module, name) ? module->tensor(nn::mask_of(name)).detach() : Tensor()};
  out.left = out.mask.defined() ? count_nonzero(out.mask) : scores.numel();
  const auto least = static_cast<std::int64_t>(std::ceil(share * static_cast<double>(scores.numel())));
  out.free = out.left - std::min(least, out.left);
  return out;
}

/// The scores with NaN, which ranks above every number, where they are among the largest that have to stay.
Tensor protected_scores(const Floored& f, TieRule ties) {
  const TensorList eligible = f.mask.defined() ? TensorList{f.mask} : TensorList{};
  const Tensor stays =
      select_masks({f.scores}, {.count = f.free, .ties = ties}, eligible, Dtype::boolean)[0];  // the rest has to
  return where(stays, full(Shape{}, std::numeric_limits<double>::quiet_NaN(), f.scores.dtype()), f.scores);
}

/// @param scores_of  what a target ranks by: smallest magnitudes go
template <class ScoresOf>
void prune_keeping(const std::vector<Target>& targets, const Amount& amount, double share, TieRule ties,
                   ScoresOf scores_of) {
  std::vector<Floored> all;
  std::int64_t left = 0, free = 0;
  for (const Target& target : targets) {
    all.push_back(floored(target, scores_of(target), share));
    left += all.back().left;
    free += all.back().free;
  }
  const std::int64_t count = amount.of(left);
  if (count > free)
    throw ValueError(cat("[global_unstructured] of ", left, " entries that are left ", count,
                         " are to go; where each parameter keeps at least ", share, " of its own, ", free, " may"));
  TargetScores scores;
  for (std::size_t i = 0; i < targets.size(); ++i) scores.emplace(targets[i], protected_scores(all[i], ties));
  global_unstructured(targets, L1Unstructured(Amount(count), ties), scores);
}

/// Refuses what global_unstructured() refuses before anything is drawn or copied.
void check(const std::vector<Target>& targets, double share) {
  if (!(share >= 0 && share <= 1))
    throw ValueError(cat("[global_unstructured] the share that each parameter keeps must be in 0..1; got ", share));
  if (targets.empty()) throw ValueError("[global_unstructured] no parameters");
  for (const auto& [module, name] : targets) {
    if (module == nullptr) throw TypeError("[global_unstructured] not a module: null");
    (void)prunable_original(*module, name);
  }
}

}  // namespace

void global_l1_keeping(const std::vector<Target>& targets, const Amount& amount, double share, TieRule ties) {
  check(targets, share);
  if (share == 0) return global_unstructured(targets, L1Unstructured(amount, ties));
  const NoGrad guard;
  prune_keeping(targets, amount, share, ties,
                [](const Target& target) { return prunable_original(*target.first, target.second).detach(); });
}

void global_random_keeping(const std::vector<Target>& targets, const Amount& amount, double share, TieRule ties,
                           Generator* generator) {
  check(targets, share);
  if (share == 0) return global_unstructured(targets, RandomUnstructured(amount, ties, generator));
  const NoGrad guard;
  // One draw over all of them, as PyTorch has it; it prunes the largest draws, which are those of least 1 - draw.
  std::int64_t total = 0;
  for (const auto& [module, name] : targets) total += prunable_original(*module, name).numel();
  const Tensor draws = rand(Shape{total}, Dtype::f32, generator ? generator : &default_generator());
  const Tensor scores = sub(ones({total}), draws);
  std::int64_t at = 0;
  prune_keeping(targets, amount, share, ties, [&](const Target& target) {
    const Shape& shape = prunable_original(*target.first, target.second).shape();
    const Tensor own = narrow(scores, 0, at, shape.numel()).reshape(shape);
    at += shape.numel();
    return own;
  });
}

}  // namespace coppice::sparsity::prune
