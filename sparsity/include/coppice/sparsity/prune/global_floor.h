#pragma once
/// Global pruning that empties no layer.

#include "coppice/engine/tie_rule.h"
#include "coppice/sparsity/amount.h"
#include "coppice/sparsity/prune/global.h"

namespace coppice {
class Generator;
}

namespace coppice::sparsity::prune {

/// global_unstructured() by L1Unstructured(amount, ties) that leaves each parameter at least `share` of its entries,
/// rounded up, or all that earlier masks left where these are fewer: its largest. What may not go there goes elsewhere,
/// so that the amount is reached. A share of 0 is global_unstructured() itself.
/// @throws ValueError  for a share outside 0..1, and for an amount beyond what may go; otherwise as
///         global_unstructured(), with nothing changed
/// Cost: beside that of global_unstructured(), a copy of the parameters.
void global_l1_keeping(const std::vector<Target>& targets, const Amount& amount, double share,
                       TieRule ties = default_tie_rule());

/// The same at random: which entries stay follows from the same draws. Of float32 parameters without earlier masks, of
/// which none meets its share, the masks are those of RandomUnstructured.
/// @param generator  null: the default one
void global_random_keeping(const std::vector<Target>& targets, const Amount& amount, double share,
                           TieRule ties = default_tie_rule(), Generator* generator = nullptr);

}  // namespace coppice::sparsity::prune
