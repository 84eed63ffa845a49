#pragma once
/// Tensors over bytes that a file brought.

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "coppice/engine/io/budget.h"
#include "coppice/engine/tensor.h"

namespace coppice {

/// What stands at `offset` of `storage`, row-major. Shown in place when it is aligned for `dtype`, else copied into
/// memory from `budget`. The caller has checked that the bytes are there.
/// @param swap  the file is big-endian: values are copied with their bytes reversed
/// @throws FormatError  if a bool is neither 0 nor 1
[[nodiscard]] Tensor place_tensor(const Source& source, std::string_view name, const std::shared_ptr<Storage>& storage,
                                  std::size_t offset, const Shape& shape, Dtype dtype, MemoryBudget& budget,
                                  bool swap = false);

/// Copies `count` elements of `width` bytes, each reversed.
void copy_swapped(std::byte* to, const std::byte* from, std::size_t count, std::size_t width);

/// Copies elements of `width` bytes (1, 2, 4 or 8) to row-major order. Element (i0, i1, …) stands at
/// from + (i0 * strides[0] + …) * width; strides count elements and may be 0.
void copy_strided(std::byte* to, const std::byte* from, std::span<const std::int64_t> sizes,
                  std::span<const std::int64_t> strides, std::size_t width);

/// "(2, 3)", for messages about sizes that may be beyond what a Shape holds.
[[nodiscard]] std::string sizes_text(std::span<const std::uint64_t> sizes);

/// @throws FormatError  if a byte is neither 0 nor 1: C++ may not read it as a bool
void check_bools(const Source& source, std::string_view name, std::span<const std::byte> bytes);

}  // namespace coppice
