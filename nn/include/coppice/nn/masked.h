#pragma once
/// Masked parameters: `X` becomes `X_orig` (parameter), `X_mask` (buffer) and a derived tensor `X` = mask * orig.
///
/// The names are those of torch.nn.utils.prune. Unlike there, `X` is never stale: it is computed when it is read, and
/// recomputed only if the mask or the original changed since.

#include <string>
#include <vector>

#include "coppice/nn/module.h"

namespace coppice::nn {

/// Masks parameter `name`; the parameter keeps its tensor object and goes to the end of the order as `name_orig`, as in
/// PyTorch. A tensor that is masked already gets the product of both masks.
/// @param mask  shape of the parameter, any type; usually 1 keeps, 0 prunes
/// @throws KeyError  if there is no such parameter or a name is taken; ShapeError; with nothing changed
void attach_mask(Module& module, std::string_view name, const Tensor& mask);

[[nodiscard]] bool is_masked(const Module& module, std::string_view name);

/// Writes mask * orig into the original, which becomes `name` again at the end of the order: the same tensor object.
/// @throws StateError  if `name` is not masked
void burn_in_mask(Module& module, std::string_view name);

/// A masked tensor in a tree of modules.
struct MaskedSlot {
  Module* module;
  std::string path;  ///< dotted, of the tensor: "0.weight"
  std::string name;  ///< "weight"
  Tensor original;
  Tensor mask;
};
[[nodiscard]] std::vector<MaskedSlot> masked_slots(Module& root);

/// mask * orig in the type of `orig`, where masked entries are +0 even if the original is negative, infinite or NaN.
/// The gradient of `orig` is the mask times the incoming one. @throws ShapeError
[[nodiscard]] Tensor apply_mask(const Tensor& orig, const Tensor& mask);

}  // namespace coppice::nn
