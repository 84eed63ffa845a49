#pragma once
// What `prune` has done, tensor by tensor.

#include <cstdint>
#include <string>
#include <vector>

#include "app.h"
#include "coppice/sparsity/prunables.h"
#include "prune/sparsifiers.h"

namespace coppice::cli {

struct PrunedRow {
  std::string name;
  Shape shape;
  std::int64_t zeros, elements, pruned;  ///< pruned: entries that the mask takes
};

/// Of those that have masks.
[[nodiscard]] std::vector<PrunedRow> pruned_rows(const std::vector<sparsity::Prunable>& targets);

/// Prints rows, sums, and what was left; as one document where the program was told so.
/// @param output  "" in a dry run
/// @param head    members of the document between the output and the rows
void report_pruned(const App& app, const std::string& output, const Json& head, const std::vector<PrunedRow>& rows,
                   const std::vector<Left>& left);

}  // namespace coppice::cli
