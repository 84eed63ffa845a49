#pragma once

#include "coppice/engine/cxx20.h"

#include <cstdint>

namespace coppice::sparsity {

/// Sparsity over training steps, steep first and flat at the end:
/// s(t) = final + (initial - final) (1 - (t - begin) / (end - begin))³ between `begin` and `end`, `initial` before and
/// `final` after. Source: Zhu and Gupta, "To prune, or not to prune", arXiv 1710.01878
struct CubicSchedule {
  double initial = 0;
  double final = 0.9;
  std::int64_t begin = 0;  ///< first step of the ramp
  std::int64_t end = 1;    ///< first step at `final`
  std::int64_t every = 1;  ///< steps between changes inside the ramp

  /// @throws ValueError  unless 0 <= initial, final <= 1, 0 <= begin < end and every >= 1
  void check() const;
  /// Sparsity wanted at `step`, a fraction.
  [[nodiscard]] double at(std::int64_t step) const;
  /// Whether the masks change at `step`: every `every` steps from `begin` on, and at `end`.
  [[nodiscard]] bool changes_at(std::int64_t step) const;
};

}  // namespace coppice::sparsity
