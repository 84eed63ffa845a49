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
/// Floating, two or more axes, and a last name component that starts with "weight": what the command line takes too.
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
