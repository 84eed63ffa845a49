#pragma once
// The reverse of im2col, for gradients. Private to the engine.

#include "coppice/engine/ops/conv.h"

namespace coppice {

/// Adds a matrix [taps, positions] of group `group` back onto an image.
template <class T>
void col2im(const ConvGeometry& g, const T* columns, std::int64_t group, T* image);

/// Images per task: enough of them to be worth one (about a million multiply-adds).
[[nodiscard]] inline std::int64_t images_per_task(const ConvGeometry& g) {
  const std::int64_t work = g.out_channels * g.taps() * g.positions();
  return 1 + (std::int64_t{1} << 20) / (work + 1);
}

}  // namespace coppice
