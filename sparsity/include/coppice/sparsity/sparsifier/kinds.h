#pragma once
/// Sparsifiers by name, as functions from a tensor to its mask: what pruning in one shot chooses from.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/engine/tie_rule.h"
#include "coppice/nn/arguments.h"

namespace coppice::sparsity {

/// The mask, 1 keeps and 0 prunes, in the shape of the values and of any type. Zeros rank lowest: what an earlier mask
/// hides goes first. @throws ShapeError, ValueError, DtypeError  for values that the sparsifier cannot take
using MaskMaker = std::function<Tensor(const Tensor& values)>;

/// A sparsifier that can be named. Another one is another row of the table.
struct SparsifierKind {
  std::string name;    ///< "weight_norm"
  Arguments defaults;  ///< its settings under PyTorch's names, and what they are when nobody sets them
  bool has_ties;       ///< equal scores follow the rule; else the lowest index goes, or there are no scores
  /// Of settings that are all there.
  std::function<MaskMaker(const Arguments& settings, TieRule ties)> make;
};

/// weight_norm, nearly_diagonal, nm (as WeightNormSparsifier, NearlyDiagonalSparsifier, NmSparsifier), and data_norm
/// (as DataNormSparsifier, with tensors of more than two axes seen as [first, all others]).
[[nodiscard]] const std::vector<SparsifierKind>& sparsifier_kinds();
/// @throws KeyError  naming those that there are
[[nodiscard]] const SparsifierKind& sparsifier_kind(std::string_view name);

/// What was set, before the defaults; "zeros_per_block" is the size of the block unless set.
/// @throws KeyError  for a setting that this sparsifier has not; ValueError, TypeError  for a value that no tensor
/// could
///         be pruned by
[[nodiscard]] Arguments settings_of(const SparsifierKind& kind, const Arguments& set);

}  // namespace coppice::sparsity
