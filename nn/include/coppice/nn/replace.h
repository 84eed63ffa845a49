#pragma once
/// Modules put in the place of others.

#include <map>

#include "coppice/nn/module.h"

namespace coppice::nn {

/// Which module stands for which.
using Replacements = std::map<const Module*, ModulePtr>;

/// Puts each replacement where its module stands below `root`, in every place that a shared module has. Modules that
/// stand only inside a replaced one go with it; what stands in a replacement stays as it is.
/// @return  `root`, or what replaces it
/// @throws ValueError  for a null replacement, with nothing changed
ModulePtr replace_modules(const ModulePtr& root, const Replacements& replacements);

}  // namespace coppice::nn
