#pragma once
/// Under which rules the names of a checkpoint are those of a module.

#include <cstddef>
#include <vector>

#include "coppice/engine/io/named_tensors.h"
#include "coppice/nn/io/renaming.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// Rules under which all names and shapes fit.
struct FittingNames {
  Renaming rules;
  bool strict = true;  ///< false: only if names beyond the module's are left out, which are too many to list
};

/// What to take of a checkpoint so that load_state_dict() finds every name and shape of `module`, and nothing else: the
/// key or prefix under which the state dict stands, what a wrapper put before the names, patterns of what stands
/// beside. Tested by applying them. Masks of both families count as the tensors that they mask, as attach_masks_of()
/// and load_state_dict() take them.
/// @param most  how many to find; those that leave out least come first, then in the order of the checkpoint
/// @return  nothing where no such rules are found: there may be others
/// Cost: n log n in the number of names, for each of a few dozen candidates at most.
[[nodiscard]] std::vector<FittingNames> fitting_names(const Module& module, const NamedTensors& tensors,
                                                      std::size_t most = 3);

}  // namespace coppice::nn
