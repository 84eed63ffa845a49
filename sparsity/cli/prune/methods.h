#pragma once
// `prune --method` and the options that belong to it.

#include <cstdint>
#include <string>
#include <vector>

#include "app/results.h"
#include "coppice/engine/tie_rule.h"
#include "coppice/sparsity/prunables.h"
#include "coppice/sparsity/prune/method.h"
#include "prune/memory.h"
#include "prune/outcome.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace coppice {
class Generator;
}

namespace coppice::cli {

class MethodOptions {
 public:
  void add_options(CLI::App* sub);
  /// Whether any of them was given but --method itself, which has a default.
  [[nodiscard]] bool has_amount() const;
  /// @throws UsageError  for options that do not fit the method, or cannot be read
  void check() const;
  /// @throws UsageError  if any was given
  void refuse_all() const;
  /// Whether all tensors compete, so that some may lose all.
  [[nodiscard]] bool is_global() const { return method_.starts_with("global_"); }
  /// @throws as the methods; errors name the tensor
  /// @param done  called for each target that is pruned, in order
  void prune(const std::vector<sparsity::Prunable>& targets, TieRule ties, const Outcome& done) const;
  /// What prune() holds, where the masks are taken as bits.
  [[nodiscard]] MethodMemory memory(const std::vector<sparsity::Prunable>& targets, TieRule ties) const;
  /// The document's part: method, amount, seed.
  [[nodiscard]] Json described() const;

 private:
  /// A method that prunes each target for itself. @param generator  must outlive it
  [[nodiscard]] sparsity::prune::MethodPtr method(TieRule ties, Generator& generator) const;

  std::string method_ = "l1_unstructured", amount_, n_ = "2";
  std::int64_t dim_ = 0;
  std::uint64_t seed_ = 0;
  double keep_ = 0;
  const CLI::Option *method_option_ = nullptr, *amount_option_ = nullptr, *n_option_ = nullptr, *dim_option_ = nullptr,
                    *seed_option_ = nullptr, *keep_option_ = nullptr;
};

}  // namespace coppice::cli
