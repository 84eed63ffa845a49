#pragma once
// Arithmetic on rows of blocks, on spans and serial, one table per instruction-set level.

#include <cstdint>

namespace coppice::sparsity::kernels {

/// What of an entry is its importance.
enum class Norm : std::uint8_t { value, magnitude, square };

inline constexpr std::int64_t kLanes = 64;       // blocks that are ranked side by side
inline constexpr std::int64_t kMostRanked = 16;  // cells of a block of which ranks are counted

template <class Real>
struct BlockKernelsOf {
  /// Adds a row's entries to the running sums of the blocks of `width` entries that they fall in. The order of
  /// additions is that of the entries, so that sums over the rows of a block run in row-major order. The last may be
  /// narrower.
  void (*add_row)(const Real* row, std::int64_t n, std::int64_t width, Real* sums);
  /// Flags of `blocks` (at most kLanes) blocks that lie side by side, of height x width (at most kMostRanked) cells;
  /// cells and flags are `height` rows of all of them. 0 where a block whose `keep` is 0 has one of the `count` cells
  /// that rank first in it: NaN behind every number, of equal ones those in front. Else 1.
  void (*flag_lowest)(const Real* cells, std::int64_t blocks, std::int64_t height, std::int64_t width,
                      std::int64_t count, const std::uint8_t* keep, std::uint8_t* flags);
};

struct BlockKernels {
  BlockKernelsOf<float> f32;
  BlockKernelsOf<double> f64;
  /// Importance of entries, which are multiplied first by their 0 or 1 in `mask`, unless that is null.
  void (*importance)(const float* x, const std::uint8_t* mask, std::int64_t n, Norm norm, float* out);
  /// add_row() of the importance of entries, in one reading.
  void (*add_importance)(const float* x, std::int64_t n, Norm norm, std::int64_t width, float* sums);
  /// What `keep` says of each block, for each cell of a row.
  void (*spread_row)(const std::uint8_t* keep, std::int64_t width, std::uint8_t* out, std::int64_t n);
};

/// Those of the highest level that this build has and cpu_level() allows.
[[nodiscard]] const BlockKernels& blocks_in_use();

template <class Real>
[[nodiscard]] const BlockKernelsOf<Real>& blocks_in_use_for() {
  if constexpr (sizeof(Real) == 4)
    return blocks_in_use().f32;
  else
    return blocks_in_use().f64;
}

}  // namespace coppice::sparsity::kernels
