#pragma once
/// Settings of methods as arguments of model files.

#include "coppice/engine/tie_rule.h"
#include "coppice/nn/arguments.h"
#include "coppice/sparsity/amount.h"

namespace coppice::sparsity::prune {

/// The amount, as an integer or a fraction, and the tie rule where it is not the usual one.
inline nn::Arguments settings(const Amount& amount, TieRule ties) {
  nn::Arguments out;
  if (amount.is_count())
    out.set("amount", static_cast<std::int64_t>(amount.number()));
  else
    out.set("amount", amount.number());
  if (ties == TieRule::pytorch) out.set("ties", std::string("pytorch"));
  return out;
}

}  // namespace coppice::sparsity::prune
