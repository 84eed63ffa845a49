#pragma once
// The tensors of a file as parameters of modules, so that models and bare checkpoints are pruned by the same functions.

#include <string>
#include <vector>

#include "tensors.h"

namespace coppice::cli {

/// A parameter that may be pruned.
struct Prunable {
  std::string name;  ///< in the file, without _orig: "0.weight"
  nn::Module* module = nullptr;
  std::string slot;  ///< name in the module
  /// The values now: masked, if there is a mask.
  [[nodiscard]] Tensor value() const { return module->tensor(slot).detach(); }
};

/// A model, or a checkpoint of which every tensor is given a module of its own.
class Prunables {
 public:
  /// Pairs X_orig and X_mask of a checkpoint become X with that mask.
  /// @throws as load_any; FormatError  for a mask that does not fit its tensor, or X beside X_orig
  Prunables(const App& app, const std::string& path);

  [[nodiscard]] bool is_model() const { return loaded_.model != nullptr; }
  [[nodiscard]] const std::vector<Prunable>& all() const { return all_; }
  /// Whether the input is a safetensors file whose checksums were compared: then its output carries them too.
  [[nodiscard]] bool carried_checksums() const { return loaded_.tensors.compared() > 0; }
  /// What the file holds beside its tensors, and the output cannot.
  [[nodiscard]] const std::vector<std::string>& skipped() const { return loaded_.tensors.skipped(); }
  /// Writes a model file, or a checkpoint in the order of the input.
  /// @param keep_masks  X_orig and X_mask instead of their product
  /// @param options  of a .safetensors checkpoint
  void save(const std::string& output, bool keep_masks, const SafetensorsWriteOptions& options);

 private:
  Loaded loaded_;
  std::vector<nn::ModulePtr> holders_;
  std::vector<Prunable> all_;
};

}  // namespace coppice::cli
