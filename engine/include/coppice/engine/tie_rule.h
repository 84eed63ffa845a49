#pragma once
/// Which of several equal scores a selection takes.

#include "coppice/engine/cxx20.h"

#include <cstdint>

namespace coppice {

enum class TieRule : std::uint8_t {
  lowest_index,  ///< the lower row-major index first: linear time, parallel, the same everywhere
  pytorch,       ///< what torch.topk takes on a CPU, index for index, where the standard library is libstdc++
};

/// The rule of every selection and every method of pruning that is given none: that of the innermost TieRuleScope of
/// this thread, or else of the process. Read when the call or the method is made, so that a method keeps its rule
/// wherever it is used, and files name it.
[[nodiscard]] TieRule default_tie_rule() noexcept;

/// Sets the rule of the process, lowest_index at first; for the program itself, at its start. Thread-safe: a call that
/// is under way keeps the rule it began with.
void set_default_tie_rule(TieRule rule) noexcept;

/// Sets the rule of this thread while it lives, for libraries and tests: other threads do not see it. Nests.
class TieRuleScope {
 public:
  explicit TieRuleScope(TieRule rule) noexcept;
  ~TieRuleScope();
  TieRuleScope(const TieRuleScope&) = delete;
  TieRuleScope& operator=(const TieRuleScope&) = delete;

 private:
  std::uint8_t before_;
};

}  // namespace coppice
