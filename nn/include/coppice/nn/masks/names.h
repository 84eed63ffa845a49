#pragma once
/// The names of masked tensors, of both families: the only place that knows the suffixes. PyTorch's words:
/// `X_orig` and `X_mask` of torch.nn.utils.prune, `parametrizations.X.original` and `parametrizations.X.N.mask` of
/// torch.ao.pruning.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/engine/io/named_tensors.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// "weight" -> "weight_orig"; dotted names too.
[[nodiscard]] std::string original_of(std::string_view name);
/// "weight" -> "weight_mask"
[[nodiscard]] std::string mask_of(std::string_view name);
/// "weight_orig" -> "weight"; nothing for other names. A part of what was given.
[[nodiscard]] std::optional<std::string_view> name_of_original(std::string_view original);
/// "weight_mask" -> "weight"; nothing for other names. A part of what was given.
[[nodiscard]] std::optional<std::string_view> name_of_mask(std::string_view mask);

/// The name by which a model knows what a tensor of a file is a part of, judged by its name alone: "0.weight" for
/// "0.weight_orig" and "0.weight_mask", for "0.parametrizations.weight.original" and its ".0.mask", and for the
/// direction of a weight norm, ".original1". The gain of a weight norm, ".original0", keeps its own, as all others do.
[[nodiscard]] std::string public_name(std::string_view name);

/// Whether parameter `name` is what a mask is applied to: "weight_orig" of a masked weight.
[[nodiscard]] bool is_original(const Module& module, std::string_view name);

/// A masked tensor of a checkpoint.
struct NamedMask {
  std::string name;      ///< of the tensor that a model computes with: "0.weight"
  std::string original;  ///< name of its original: "0.weight_orig"
  std::string mask;      ///< name of its mask: "0.weight_mask"
  /// No further tensor stands in the list of a FakeSparsity. Parametrizations without tensors cannot be seen: only the
  /// model would tell that one stands behind the mask.
  bool alone = true;
};

/// An original of a checkpoint that has no mask there.
struct NamedOriginal {
  std::string name;      ///< of the tensor that a model computes with: "0.weight"
  std::string original;  ///< "0.parametrizations.weight.original"
};

/// The originals of parametrizations of which the checkpoint holds nothing else: what PyTorch writes of a weight under
/// a FakeSparsity, whose mask is in no state dict of its. Any other parametrization without tensors looks the same.
[[nodiscard]] std::vector<NamedOriginal> originals_alone(const NamedTensors& tensors);

/// The masked tensors among those of a checkpoint, of both families, in the order of their originals. A FakeSparsity
/// counts where it is the first parametrization of its tensor.
[[nodiscard]] std::vector<NamedMask> masks_in(const NamedTensors& tensors);

}  // namespace coppice::nn
