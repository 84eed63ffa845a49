#pragma once
// Which tensors `prune` takes, and why not the others.

#include <string>
#include <vector>

#include "../tensors.h"
#include "prune/sparsifiers.h"

namespace coppice::cli {

struct Choice {
  std::vector<sparsity::Prunable> targets;            ///< of those that are one tensor, the first that is taken
  std::vector<std::vector<sparsity::Prunable>> tied;  ///< groups that are one tensor; a target stands first in each
  std::vector<Left> left;                             ///< in the order of the file, if they are asked for

  /// The other names of a target.
  [[nodiscard]] std::vector<std::string> also_named(const std::string& target) const;
  /// Gives the masks of targets to what is the same tensor.
  void share_masks() const;
};

/// @param packed  weights that packed layers hold, by their public names
/// @param explain  tell what is left and why
/// @throws KeyError  for a pattern that meets nothing, or if nothing is taken; NotSupported  for a pattern that meets
///         packed weights only; ValueError  if --exclude names some of the names of one tensor
[[nodiscard]] Choice choose(const std::vector<sparsity::Prunable>& all, const std::vector<std::string>& packed,
                            const NameFilter& filter, const std::string& path, bool explain);

}  // namespace coppice::cli
