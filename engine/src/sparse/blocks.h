#pragma once
/// Lists of blocks: for each group of `block.rows` neighbouring rows the columns that it keeps, so that as many outputs
/// share one input. Members, groups = ceil(rows / block.rows):
///
/// * `row_offsets` i32 [groups + 1], into `columns`
/// * `columns` i16 [n] when cols <= 32768, else i32; strictly rising within a group
/// * `values` [n, block.rows], or [n] for blocks one row high; 0 in rows of the last group beyond `rows`

#include "format.h"

namespace coppice::sparse {

extern const PackedLayout kBlocks;

[[nodiscard]] Members pack_blocks(const PackedFormatRow& row, const Tensor& dense);
void check_blocks(const Packed& w);
[[nodiscard]] Tensor unpack_blocks(const Packed& w);
void blocks_linear(const Packed& w, const float* x, std::int64_t batch, const float* bias, float* y);
void blocks_multiply(const Packed& w, const float* x, std::int64_t n, const float* bias, float* y);

/// The row of a format of such lists. @param height  1, 4, 8 or 16: what kernels know
consteval PackedFormatRow row_of_blocks(std::string_view name, std::int64_t height) {
  return {name,         kBlocks,       {height, 1},   Dtype::f32,     pack_blocks,
          check_blocks, unpack_blocks, blocks_linear, blocks_multiply};
}

}  // namespace coppice::sparse
