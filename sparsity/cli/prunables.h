#pragma once
// A file whose tensors are pruned: a model, or a bare checkpoint.

#include <optional>
#include <string>
#include <vector>

#include "coppice/sparsity/prunables.h"
#include "tensors.h"

namespace coppice::cli {

/// What may be pruned in it. Masks of a FakeSparsity become X_orig and X_mask: an amount counts what they leave.
class Prunables {
 public:
  /// @throws as load_any and sparsity::PrunableTensors
  Prunables(const App& app, const std::string& path);

  [[nodiscard]] bool is_model() const { return loaded_.model != nullptr; }
  [[nodiscard]] const std::vector<sparsity::Prunable>& all() const { return all_; }
  /// Weights that packed layers of a model hold, by their public names.
  [[nodiscard]] const std::vector<std::string>& packed() const { return packed_; }
  /// Whether the input is a safetensors file whose checksums were compared: then its output carries them too.
  [[nodiscard]] bool carried_checksums() const { return loaded_.tensors.compared() > 0; }
  /// What the file holds beside its tensors, and the output cannot.
  [[nodiscard]] const std::vector<std::string>& skipped() const { return loaded_.tensors.skipped(); }
  /// Whether save() makes an output of this name in pieces, where no tensor has a mask in its module.
  [[nodiscard]] static bool in_pieces(const std::string& output);
  /// Says that a target is pruned, or looked at, and not needed until it is written.
  void settle(const sparsity::Prunable& target);
  /// Whether the mask of a target is held outside its module, with a bit per entry: of a checkpoint, where no tensor
  /// has several names, and the target has no mask yet.
  [[nodiscard]] bool takes_bits(const sparsity::Prunable& target) const;
  /// The mask of a target that takes bits (sparsity::PrunableTensors::set_bits).
  void set_bits(const sparsity::Prunable& target, const Tensor& bits) { bare_->set_bits(target, bits); }
  /// Writes a model file, or a checkpoint in the order of the input.
  /// @param keep_masks  X_orig and X_mask instead of their product
  /// @param options  of a .safetensors checkpoint
  void save(const std::string& output, bool keep_masks, const SafetensorsWriteOptions& options);

 private:
  Loaded loaded_;
  std::optional<sparsity::PrunableTensors> bare_;
  std::vector<sparsity::Prunable> all_;
  bool tied_ = false;  // some are one tensor
  std::vector<std::string> packed_;
};

}  // namespace coppice::cli
