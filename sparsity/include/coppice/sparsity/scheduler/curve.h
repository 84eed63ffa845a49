#pragma once

#include <string_view>

#include "coppice/engine/cxx20.h"

namespace coppice::sparsity {

/// How a level rises from nothing to its end.
enum class Curve {
  cubic,    ///< 1 - (1 - x)³: steep first, flat at the end
  linear,   ///< x
  step,     ///< four equal stairs, at a quarter of the way, half of it, three quarters, and its end
  constant  ///< all of it from the beginning on
};

/// The share of the level at `x` of the way: 0 .. 1, and 1 from x = 1 on. @throws ValueError  for a negative x or NaN
[[nodiscard]] double share_of(Curve curve, double x);

/// "cubic", "linear", "step", "constant"
[[nodiscard]] const char* to_string(Curve curve);
/// @throws ValueError  for another name
[[nodiscard]] Curve curve_of(std::string_view name);

}  // namespace coppice::sparsity
