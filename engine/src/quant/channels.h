#pragma once
// A tensor seen as runs of elements that share a channel. Private to the engine.

#include "coppice/engine/parallel.h"
#include "coppice/engine/shape.h"

namespace coppice::quant {

/// [outer, channels, inner] of a shape about one axis.
struct Channels {
  std::int64_t outer = 1, channels = 1, inner = 1;

  Channels(const Shape& shape, std::int64_t axis) : channels(shape[axis]) {
    for (std::int64_t i = 0; i < axis; ++i) outer *= shape[i];
    for (std::int64_t i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  }

  /// Calls f(channel, begin, end) for every run of elements, in parallel.
  template <class F>
  void each(F f) const {
    if (inner == 0) return;
    parallel_for(outer * channels, 1 + (1 << 13) / inner, [&](Rows rows) {
      for (std::int64_t i = rows.begin; i < rows.end; ++i) f(i % channels, i * inner, (i + 1) * inner);
    });
  }
};

}  // namespace coppice::quant
