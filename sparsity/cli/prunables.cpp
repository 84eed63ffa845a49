#include "prunables.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/io/load.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/families.h"
#include "coppice/sparsity/tied.h"
#include "packed.h"

namespace coppice::cli {

Prunables::Prunables(const App& app, const std::string& path) : loaded_(load_any(app, path)) {
  note_unknown_types(app, loaded_);
  if (is_model()) {
    nn::take_fake_masks(*loaded_.model);
    all_ = sparsity::prunables_of(*loaded_.model);
    packed_ = packed_weights(*loaded_.model);
    return;
  }
  if (is_pytorch_name(path)) loaded_.tensors.metadata().emplace("format", "pt");
  all_ = bare_.emplace(loaded_.tensors, path).all();
}

void Prunables::save(const std::string& output, bool keep_masks, const SafetensorsWriteOptions& options) {
  NoGrad guard;
  if (is_model()) {
    if (!keep_masks) {
      const std::vector<std::vector<sparsity::Prunable>> tied = sparsity::tied_groups(all_);
      nn::burn_in_masks(*loaded_.model);
      for (const std::vector<sparsity::Prunable>& group : tied) sparsity::tie(group);
    }
    return nn::save_model(*loaded_.model, output, notes_of(loaded_.tensors));
  }
  NamedTensors out = bare_->tensors(keep_masks);
  out.metadata() = loaded_.tensors.metadata();
  // A model of types that are not known stays one as long as it has the tensors that its description speaks of.
  if (out.names() != loaded_.tensors.names()) out.metadata().erase(nn::kModelKey);
  save_tensors(output, out, options);
}

}  // namespace coppice::cli
