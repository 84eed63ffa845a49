#pragma once
/// Which tensors of a model are weights that may be pruned, and how many of their entries are zero.

#include <cstdint>
#include <functional>
#include <string>

#include "coppice/engine/io/named_tensors.h"
#include "coppice/nn/module.h"

namespace coppice::sparsity {

/// Which weights take part: by their dotted path, such as "0.weight".
using WeightFilter = std::function<bool(const std::string& path, const Tensor& weight)>;
/// Why a tensor is not among the weights that are pruned where nobody names any, in a few words; empty if it is.
/// Taken are floating tensors of two or more axes whose last name component begins with "weight": `weight_ih_l0`, the
/// direction `weight_v` of a weight norm, and the originals of parametrizations of such names. Not taken, by their
/// names, are gains (`weight_g`, `original0`), scales, norms (`ln_1`, `layer_norm`) and embeddings of
/// positions (`wpe`, `position_embeddings`).
[[nodiscard]] std::string left_by_default(const std::string& path, const Tensor& tensor);
/// Whether it is: what the command line takes too.
[[nodiscard]] bool is_prunable(const std::string& path, const Tensor& weight);

struct WeightCount {
  std::int64_t weights = 0;
  std::int64_t zeros = 0;
};
/// Entries of all prunable weights of a model, packed or not, as they are when masks are applied.
[[nodiscard]] WeightCount count_weights(const nn::Module& model);
/// The same of a bare checkpoint, where an original and its mask of either family are one weight (nn::masks_in). A mask
/// of another shape than its original's is not applied. What stands twice under one name counts once, as the first
/// pair.
[[nodiscard]] WeightCount count_weights(const NamedTensors& tensors);

}  // namespace coppice::sparsity
