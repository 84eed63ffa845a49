#include "prunables.h"

#include <filesystem>
#include <set>

#include "coppice/engine/autograd.h"
#include "coppice/engine/io/load.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/families.h"
#include "coppice/nn/masks/masked.h"
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
  tied_ = bare_->has_ties();
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
  std::map<std::string, std::string> metadata = loaded_.tensors.metadata();
  // A model of types that are not known stays one as long as it has the tensors that its description speaks of.
  const auto check_model = [&](const std::vector<std::string>& names) {
    if (names == loaded_.tensors.names()) return;
    metadata.erase(nn::kModelKey);
    // A text under the name of a tensor that is not in the file would be the note of a tie.
    const std::set<std::string_view> written(names.begin(), names.end());
    for (const auto& [name, tensor] : loaded_.tensors)
      if (!written.contains(name)) metadata.erase(name);
  };
  if (in_pieces(output) && !tied_) {
    const std::vector<PlannedTensor> plan = bare_->planned(keep_masks);
    std::vector<std::string> names;
    for (const PlannedTensor& t : plan) names.push_back(t.name);
    check_model(names);
    return write_safetensors(output, plan, metadata, options);
  }
  NamedTensors out = bare_->tensors(keep_masks);
  check_model(out.names());
  out.metadata() = std::move(metadata);
  save_tensors(output, out, options);
}

bool Prunables::in_pieces(const std::string& output) {
  return std::filesystem::path(output).extension() == ".safetensors";
}

bool Prunables::takes_bits(const sparsity::Prunable& target) const {
  return bare_ && !tied_ && !nn::is_masked(*target.module, target.slot) && is_floating(target.value().dtype());
}

void Prunables::settle(const sparsity::Prunable& target) {
  if (bare_) bare_->settle(target);
}

}  // namespace coppice::cli
