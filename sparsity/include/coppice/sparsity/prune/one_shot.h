#pragma once
/// All selected tensors pruned at once by one method: what the command line offers.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/sparsity/amount.h"
#include "coppice/sparsity/mask_ops.h"

namespace coppice::sparsity {

enum class PruneMethod {
  l1_unstructured,      ///< per tensor, smallest |w|
  random_unstructured,  ///< per tensor, random elements
  ln_structured,        ///< per tensor, slices along `dim` with the smallest norm
  random_structured,    ///< per tensor, random slices along `dim`
  global_l1,            ///< smallest |w| over all tensors together
  global_random,        ///< random elements over all tensors together
};
[[nodiscard]] std::string_view name_of(PruneMethod method);
[[nodiscard]] std::optional<PruneMethod> prune_method_from_name(std::string_view name);
[[nodiscard]] const std::vector<std::string>& prune_method_names();
[[nodiscard]] bool is_structured(PruneMethod method);

struct PruneRequest {
  PruneMethod method = PruneMethod::l1_unstructured;
  Amount amount = 0.5;   ///< of each tensor's elements or slices; of all elements together for the global methods
  NormOrder n = 2;       ///< ln_structured
  std::int64_t dim = 0;  ///< structured methods
  TieRule ties = TieRule::lowest_index;
};

/// One mask per weight, of its shape and type. Random methods draw for the weights in order.
/// @param names  of the weights, for messages; may be empty
/// @throws ValueError, ShapeError, IndexError, DtypeError  before anything is drawn where that is possible
[[nodiscard]] TensorList prune_masks(const TensorList& weights, const PruneRequest& request, Generator& generator,
                                     const std::vector<std::string>& names = {});

}  // namespace coppice::sparsity
