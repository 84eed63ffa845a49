#pragma once
// What `prune` has done, tensor by tensor.

#include <cstdint>
#include <string>
#include <vector>

#include "app.h"
#include "coppice/sparsity/prunables.h"
#include "coppice/sparsity/prune/masked_bits.h"
#include "prune/choice.h"
#include "prune/memory.h"

namespace coppice::cli {

struct PrunedRow {
  std::string name;
  Shape shape;
  std::int64_t zeros, elements, pruned;  ///< pruned: entries that the mask takes
  std::vector<std::string> also = {};    ///< other names of the tensor
  /// Hardly anything is left of it, or nothing.
  [[nodiscard]] bool nearly_empty() const { return elements > 0 && zeros * 100 >= elements * 99; }
};

/// Of one that has a mask.
[[nodiscard]] PrunedRow pruned_row(const Choice& choice, const sparsity::Prunable& target);

/// Of one whose mask is outside its module.
[[nodiscard]] PrunedRow pruned_row(const Choice& choice, const sparsity::Prunable& target,
                                   const sparsity::prune::MaskedCounts& counts);

/// A note for each tensor that global pruning left nearly nothing of. @param advice  behind it
void note_nearly_empty(const App& app, const std::vector<PrunedRow>& rows, const std::string& advice);
/// A note for each tensor that has several names.
void note_tied(const App& app, const std::vector<PrunedRow>& rows);

/// Prints rows, sums, and what the sparsifier left; as one document where the program was told so.
/// @param output  "" in a dry run
/// @param not_taken  shown in a dry run
/// @param memory  shown as lines where a limit was given
/// @param head    members of the document between the output and the rows
void report_pruned(const App& app, const std::string& output, const Json& head, const std::vector<PrunedRow>& rows,
                   const std::vector<Left>& left, const std::vector<Left>& not_taken, const MemoryLimit& memory);

}  // namespace coppice::cli
