#pragma once
/// Modules put in the place of others.

#include <map>

#include "coppice/nn/module.h"

namespace coppice::nn {

/// Gives `to` what belongs to the place of `from` rather than to its type: the hooks (moved, so that their handles take
/// them off `to` then), the training mode (of all below `to` as well), and the plain tensors under names that `to` has
/// not (the same tensor objects).
void carry_over(Module& from, Module& to);

/// Which module stands for which.
using Replacements = std::map<const Module*, ModulePtr>;

/// Puts each replacement where its module stands below `root`, in every place that a shared module has. Modules that
/// stand only inside a replaced one go with it; what stands in a replacement stays as it is. A replacement takes over
/// hooks, mode and plain tensors, as carry_over() does, unless the module that it replaces stands in it.
/// @return  `root`, or what replaces it
/// @throws ValueError  for a null replacement, with nothing changed
ModulePtr replace_modules(const ModulePtr& root, const Replacements& replacements);

}  // namespace coppice::nn
