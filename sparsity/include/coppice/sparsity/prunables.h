#pragma once
/// The tensors of a model or of a bare checkpoint as parameters of modules, so that both are pruned by the same
/// functions.

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/engine/io/named_tensors.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn/module.h"
#include "coppice/sparsity/prunable.h"

namespace coppice::sparsity {

/// A parameter that may be pruned.
struct Prunable {
  std::string name;  ///< of the tensor that a model computes with, without _orig: "0.weight"
  nn::Module* module = nullptr;
  std::string slot;            ///< name in the module
  bool of_checkpoint = false;  ///< the module is one of PrunableTensors, and holds nothing else
  /// The values now: masked, if there is a mask.
  [[nodiscard]] Tensor value() const { return module->tensor(slot).detach(); }
};

/// All parameters of a model, masked ones under the name without _orig, in the order of modules and parameters. An
/// original of a FakeSparsity is one under its own name; nn::take_fake_masks() makes masks of the other family of it.
[[nodiscard]] std::vector<Prunable> prunables_of(nn::Module& model);

/// As left_by_default() by name and tensor, and "the weight of a norm" for what a module of such a type has.
[[nodiscard]] std::string left_by_default(const Prunable& tensor);

/// Those that a filter takes, in their order.
[[nodiscard]] std::vector<Prunable> chosen(const std::vector<Prunable>& all, const WeightFilter& filter);

/// Calls `prune` for each, in order; an error that comes out of it names the tensor: "'0.weight': …".
void for_each(const std::vector<Prunable>& all, const std::function<void(const Prunable&)>& prune);

/// The tensors of a checkpoint, each in a module of its own. An original and its mask, of either family, are one tensor
/// with that mask (nn::masks_in). What is one tensor under several names stays one (sparsity/tied.h).
class PrunableTensors {
 public:
  /// @param source  the file, for messages
  /// @throws FormatError  for a mask that has not the shape of its tensor,
  ///         for two tensors of one name ("X" or the other family beside "X_orig" and its mask),
  ///         and for a FakeSparsity that is not alone (nn::NamedMask::alone)
  PrunableTensors(const NamedTensors& tensors, std::string_view source);
  [[nodiscard]] const std::vector<Prunable>& all() const { return all_; }
  /// Says that a tensor is done with: its mask takes a byte per entry from now on where it holds zeros and ones, in the
  /// outputs its type is what it was, and pages of a mapped file in which the tensor stands are given back.
  void settle(const Prunable& pruned);
  /// Gives a tensor without a mask one that outputs have; value() does not know of it. It takes a bit per entry.
  /// @param bits  nn::pack_bits() of a mask of the tensor's shape
  /// @throws StateError  if the tensor has a mask in its module
  void set_bits(const Prunable& pruned, const Tensor& bits);
  /// tensors(), each made when it is written (write_safetensors): one of them at a time is in memory, and of those that
  /// have no mask in a module pieces only, beside the masks.
  /// This must outlive the plan. @throws as tensors(); StateError  if some are tied, whose bytes are written once
  [[nodiscard]] std::vector<PlannedTensor> planned(bool keep_masks) const;
  /// Whether some of the tensors are one under several names.
  [[nodiscard]] bool has_ties() const;
  /// As they are now, in the order of the checkpoint.
  /// @param keep_masks  "X_orig" and "X_mask" instead of their product "X", which is burnt in otherwise
  /// @throws FormatError  if masks are kept and another tensor has one of these names; with nothing changed
  [[nodiscard]] NamedTensors tensors(bool keep_masks);

 private:
  void check_names_of_masks() const;
  /// The mask in the type that outputs have.
  [[nodiscard]] Tensor mask_of_output(const Prunable& p) const;
  void plan_masked(const Prunable& p, bool keep_masks, std::vector<PlannedTensor>& out) const;
  [[nodiscard]] static Tensor product_of(const Prunable& p, const Tensor& bits);

  std::string source_;
  std::vector<nn::ModulePtr> holders_;
  std::vector<Prunable> all_;
  std::map<std::string, Dtype, std::less<>> settled_;  // types of masks in outputs
  std::map<std::string, Tensor, std::less<>> bits_;    // masks that no module has
  std::set<std::string, std::less<>> masked_before_;
};

}  // namespace coppice::sparsity
