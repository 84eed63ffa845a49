#pragma once
/// Masked parameters: `X` becomes `X_orig` (parameter), `X_mask` (buffer) and a derived tensor `X` = mask * orig.
///
/// The names are those of torch.nn.utils.prune. Unlike there, `X` is never stale: it is computed when it is read, and
/// recomputed only if the mask or the original changed since.

#include <memory>
#include <string>
#include <vector>

#include "coppice/nn/arguments.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// One decision that made a mask what it is: a method's name and its settings.
struct MaskStep {
  std::string type;
  Arguments arguments;
};

/// How a mask came to be, kept with it and written to model files as its steps. Pruning methods derive from it; what a
/// file brings back is a MaskHistory until somebody makes methods of it.
class MaskOrigin {
 public:
  virtual ~MaskOrigin() = default;
  /// Oldest first.
  [[nodiscard]] virtual std::vector<MaskStep> steps() const = 0;
};

/// Steps as plain data.
class MaskHistory final : public MaskOrigin {
 public:
  explicit MaskHistory(std::vector<MaskStep> steps) : steps_(std::move(steps)) {}
  [[nodiscard]] std::vector<MaskStep> steps() const override { return steps_; }

 private:
  std::vector<MaskStep> steps_;
};

/// Sets the mask of parameter `name` as it is, and where it came from; replaces an earlier mask. Otherwise like
/// attach_mask: the parameter keeps its tensor object and goes to the end of the order as `name_orig`.
/// @param mask  shape of the parameter; its type is kept, and it may hold other numbers than 0 and 1
/// @throws KeyError  if there is no such parameter or a name is taken; ShapeError; with nothing changed
void set_mask(Module& module, std::string_view name, const Tensor& mask,
              std::shared_ptr<const MaskOrigin> origin = nullptr);

/// Where the mask of `name` came from; null if it has none, or nobody said. @throws StateError  if `name` has no mask
[[nodiscard]] std::shared_ptr<const MaskOrigin> mask_origin(const Module& module, std::string_view name);

/// Masks parameter `name`; the parameter keeps its tensor object and goes to the end of the order as `name_orig`, as in
/// PyTorch. A tensor that is masked already gets the product of both masks.
/// @param mask  shape of the parameter, any type; usually 1 keeps, 0 prunes
/// @throws KeyError  if there is no such parameter or a name is taken; ShapeError; with nothing changed
void attach_mask(Module& module, std::string_view name, const Tensor& mask);

[[nodiscard]] bool is_masked(const Module& module, std::string_view name);

/// Writes mask * orig into the original, which becomes `name` again at the end of the order: the same tensor object.
/// @throws StateError  if `name` is not masked
void burn_in_mask(Module& module, std::string_view name);

/// A masked tensor in a tree of modules. The mask has the shape of the original, unless somebody replaced one of them.
struct MaskedSlot {
  Module* module;
  std::string path;  ///< dotted, of the tensor: "0.weight"
  std::string name;  ///< "weight"
  Tensor original;
  Tensor mask;
  /// The mask is a FakeSparsity, applied on reading: its original trains densely. See nn/masks/families.h.
  bool fake = false;
};
/// Those of `X_orig` and `X_mask` alone; masks_in() finds both families.
[[nodiscard]] std::vector<MaskedSlot> masked_slots(Module& root);

/// mask * orig in the type of `orig`. As in PyTorch masked negatives become -0, and masked infinities and NaN stay NaN.
/// The gradient of `orig` is the mask times the incoming one. @throws ShapeError
[[nodiscard]] Tensor apply_mask(const Tensor& orig, const Tensor& mask);

}  // namespace coppice::nn
