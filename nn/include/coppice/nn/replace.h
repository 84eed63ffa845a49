#pragma once
/// Modules put in the place of others.

#include <map>

#include "coppice/nn/module.h"

namespace coppice::nn {

/// Gives `to` what belongs to the place of `from` rather than to its type: the hooks (moved, so that their handles take
/// them off `to` then), the training mode (of all below `to` as well), and the plain tensors under names that `to` has
/// not (the same tensor objects).
/// If memory runs out, hooks and mode have not moved; plain tensors may have come to `to`.
void carry_over(Module& from, Module& to);

/// Which module stands for which.
using Replacements = std::map<const Module*, ModulePtr>;

/// Puts each replacement where its module stands below `root`, in every place that a shared module has. Modules that
/// stand only inside a replaced one go with it; what stands in a replacement stays as it is. A replacement takes over
/// hooks, mode and plain tensors, as carry_over() does, unless the module that it replaces stands in it. A replacement
/// may be replaced itself, as where two modules change places: it hands on what it had before and takes what the other
/// had.
///
/// If memory runs out, no hook and no mode has moved; some replacements may stand in their places, the innermost first.
/// @return  `root`, or what replaces it
/// @throws ValueError  for a null replacement, with nothing changed
ModulePtr replace_modules(const ModulePtr& root, const Replacements& replacements);

}  // namespace coppice::nn
