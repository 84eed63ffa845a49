#pragma once
// What the demo found.

#include <string>
#include <utility>
#include <vector>

#include "app/results.h"
#include "coppice/sparsity/pack/pack.h"
#include "coppice/sparsity/prunable.h"
#include "coppice/sparsity/training/finetune.h"
#include "measure.h"

namespace coppice::cli {

/// One line of the table.
struct DemoEntry {
  std::string name;
  std::string file;
  nn::ModulePtr model;
  std::int64_t correct = 0;
  sparsity::WeightCount count;
  Latency one, many;
};

struct DemoReport {
  std::vector<DemoEntry> entries;  ///< the dense one first, the packed one of blocks last
  std::vector<sparsity::PackDecision> decisions, block_decisions;
  std::vector<std::pair<std::string, std::vector<sparsity::LayerReport>>> blocks;  ///< what each block reached
  std::uint64_t seed = 0;
  std::int64_t samples = 0, epochs = 0;
  std::int64_t elsewhere = 0, blocks_elsewhere = 0;  ///< correct in processes of their own

  [[nodiscard]] Json json() const;
  /// Table and explanations.
  void print() const;
};

}  // namespace coppice::cli
