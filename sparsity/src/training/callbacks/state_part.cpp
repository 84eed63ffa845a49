#include "state_part.h"

#include <utility>

#include "coppice/engine/checked.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/sparsity/state_file.h"

namespace coppice::sparsity {

Checkpoint::Part state_part(std::string name, std::function<Arguments()> save,
                            std::function<void(const Arguments&, const TrainContext&, const Limits&)> load,
                            std::function<std::function<void()>()> keep) {
  const std::string prefix = name + ".", key = "coppice." + name;
  Checkpoint::Part part;
  part.save = [=, save = std::move(save)](NamedTensors& all) {
    const NamedTensors stored = arguments_to_tensors(save());
    all.add_all(prefix, stored);
    all.metadata()[key] = stored.metadata().at(nn::kModelKey);
  };
  part.load = [=, load = std::move(load)](const NamedTensors& all, const TrainContext& context, const Limits& limits) {
    const auto text = all.metadata().find(key);
    if (text == all.metadata().end()) throw KeyError(cat("the metadata has no ", quote(key)));
    NamedTensors stored = all.below(prefix);
    stored.metadata()[nn::kModelKey] = text->second;
    try {
      load(arguments_from_tensors(stored, name, limits), context, limits);
    } catch (const FormatError& e) {  // which names the part alone: Checkpoint says which file it is
      throw ValueError(e.what());
    }
  };
  part.keep = std::move(keep);
  return part;
}

}  // namespace coppice::sparsity
