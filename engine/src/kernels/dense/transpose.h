#pragma once
/// Transposition tile by tile, in registers. Included by level.cpp only.

#include "kernels/vec.h"

namespace coppice::kernels::COPPICE_LEVEL {

inline void transpose_any(const float* in, i64 rows, i64 cols, i64 is, float* out, i64 os) {
  constexpr int w = kLanes<float>;
  const auto tile = [&](i64 r, i64 c) __attribute__((always_inline)) {
    Vec<float> t[w];
#pragma GCC unroll 16
    for (int i = 0; i < w; ++i) t[i] = load(in + (r + i) * is + c);
    transpose<float>(t);
#pragma GCC unroll 16
    for (int i = 0; i < w; ++i) store(out + (c + i) * os + r, t[i]);
  };
  const i64 down = rows - rows % w, across = cols - cols % w;
  // Rows a large power of two apart share a set of the cache. Whichever side has such rows is walked along them, so
  // that few of its lines are open at a time (64 x 1024: 10 against 26 µs).
  if (os % 256 == 0) {
    for (i64 c = 0; c < across; c += w)
      for (i64 r = 0; r < down; r += w) tile(r, c);
  } else {
    for (i64 r = 0; r < down; r += w)
      for (i64 c = 0; c < across; c += w) tile(r, c);
  }
  for (i64 c = across; c < cols; ++c)
    for (i64 r = 0; r < down; ++r) out[c * os + r] = in[r * is + c];
  for (i64 r = down; r < rows; ++r)
    for (i64 c = 0; c < cols; ++c) out[c * os + r] = in[r * is + c];
}

}  // namespace coppice::kernels::COPPICE_LEVEL
