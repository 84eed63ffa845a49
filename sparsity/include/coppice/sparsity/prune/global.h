#pragma once
/// One amount over several parameters together.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "coppice/sparsity/prune/method.h"

namespace coppice::sparsity::prune {

/// A parameter: the module that owns it and its name there.
using Target = std::pair<nn::Module*, std::string>;
/// Scores for some of the parameters; the others rank by their values.
using TargetScores = std::map<Target, Tensor>;

/// Ranks the entries of all parameters as one sequence in their order, of which entries that are masked already take no
/// part. Each parameter then gets a CustomFromMask. A parameter named twice counts twice.
/// Either all are pruned, or none.
/// Cost: L1Unstructured reads the parameters as they stand; beside the masks, which the CustomFromMask shares with the
/// parameter, extra memory of at most 1/20 of the scores (with TieRule::pytorch 16 bytes per entry). Other methods, and
/// masks of other numbers than 0 and 1, join what is left first.
/// @throws ValueError  for no parameters; then KeyError, TypeError, ValueError  as apply() for one of the names;
/// TypeError
///         if the method is not unstructured; IndexError  if scores have another number of entries (any shape will do);
///         and what the method throws; in this order, with nothing changed and nothing drawn
/// Source: torch/nn/utils/prune.py, global_unstructured
void global_unstructured(const std::vector<Target>& targets, const MethodPtr& method, const TargetScores& scores = {});

/// The same with the method made in place: global_unstructured(targets, L1Unstructured(0.2)).
template <class M>
requires std::derived_from<M, Method>
void global_unstructured(const std::vector<Target>& targets, M method, const TargetScores& scores = {}) {
  global_unstructured(targets, MethodPtr(std::make_shared<M>(std::move(method))), scores);
}

}  // namespace coppice::sparsity::prune
