#pragma once
/// Rows of a table by index, and their bags, as torch.nn.functional.embedding and embedding_bag (which take the index
/// first).

#include <optional>

#include "coppice/engine/tensor.h"

namespace coppice {

/// weight[index]. weight: [n, d], index: any shape, integers -> [...index, d].
/// @param padding_idx  a row whose gradient stays 0
/// @throws IndexError  if an index is outside 0 .. n - 1; ShapeError, DtypeError
[[nodiscard]] Tensor embedding(const Tensor& weight, const Tensor& index,
                               std::optional<std::int64_t> padding_idx = std::nullopt);

enum class BagMode { sum, mean, max };

/// One row per bag: the sum, mean or element-wise maximum of the rows that the bag names; an empty bag gives 0.
/// @param index    [k]; @param offsets  [bags], first position of each bag, starting at 0, not decreasing
/// @param padding_idx  entries left out of their bag
/// The gradient of a maximum is shared equally by the entries that attain it. Time and memory of both passes grow with
/// entries and table, not with bags times table.
/// @throws IndexError  if an entry is outside 0 .. n - 1; ShapeError; DtypeError  unless weight is floating, index and
///         offsets hold integers; ValueError  for other offsets
[[nodiscard]] Tensor embedding_bag(const Tensor& weight, const Tensor& index, const Tensor& offsets,
                                   BagMode mode = BagMode::mean,
                                   std::optional<std::int64_t> padding_idx = std::nullopt);

}  // namespace coppice
