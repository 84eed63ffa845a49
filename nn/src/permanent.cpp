#include "coppice/nn/permanent.h"

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/parametrize.h"

namespace coppice::nn {

void make_permanent(Module& root) {
  const auto modules = root.named_modules();
  // Innermost first: the original of a parametrization may be pruned, weight_orig of a pruned weight pruned again.
  for (auto m = modules.rbegin(); m != modules.rend(); ++m) {
    std::vector<std::string> names;
    for (const auto& [name, derived] : m->second->derived()) names.push_back(name);
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
      if (is_masked(*m->second, *name))
        burn_in_mask(*m->second, *name);
      else if (parametrize::is_parametrized(*m->second, *name))
        parametrize::remove_parametrizations(*m->second, *name);
      else
        throw StateError(
            cat("[make_permanent] ", quote(*name), " of ", m->second->type_name(), " is derived in another way"));
    }
  }
}

}  // namespace coppice::nn
