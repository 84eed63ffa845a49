#pragma once
// `prune --sparsifier` and the options that belong to it.

#include <string>
#include <vector>

#include "app/results.h"
#include "coppice/engine/arguments.h"
#include "coppice/engine/tie_rule.h"
#include "coppice/sparsity/prunables.h"
#include "prune/memory.h"
#include "prune/outcome.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace coppice::cli {

/// A tensor that the sparsifier cannot take, and what it says.
struct Left {
  std::string name, why;
};

class SparsifierOptions {
 public:
  void add_options(CLI::App* sub);
  /// Whether --sparsifier was given.
  [[nodiscard]] bool given() const { return !name_.empty(); }
  /// @param ties  the option --ties
  /// @throws UsageError  for options that the chosen sparsifier has not, or that it refuses; without --sparsifier, for
  ///         any of them
  void check(const CLI::Option& ties) const;
  /// @param leave  those of a shape that the sparsifier refuses, rather than to refuse them
  /// @return  those that were left, which are not all
  /// @throws as sparsity::prune::BySparsifier; errors name the tensor
  [[nodiscard]] std::vector<Left> prune(const std::vector<sparsity::Prunable>& targets, TieRule ties, bool leave,
                                        const Outcome& done) const;
  /// What prune() holds, where the masks are taken as bits.
  [[nodiscard]] MethodMemory memory(TieRule ties) const;
  /// The document's part: the name, and the settings that it had.
  [[nodiscard]] Json described() const;

 private:
  [[nodiscard]] Arguments settings() const;

  std::string name_;
  std::vector<std::string> texts_;  // of the settings, in the order of their table
  std::vector<const CLI::Option*> options_;
};

}  // namespace coppice::cli
