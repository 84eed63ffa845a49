#include "norm_mask.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "blocks/block_mask.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/select.h"

namespace coppice::sparsity {
namespace {

struct Sizes {
  std::int64_t rows, cols;
};

/// Sizes without those that are 1. @throws ShapeError
Sizes sizes_of(const Tensor& data, const std::string& what) {
  std::vector<std::int64_t> sizes;
  for (const std::int64_t size : data.shape())
    if (size != 1) sizes.push_back(size);
  if (sizes.size() > 2)
    throw ShapeError(cat("[DataNormSparsifier] ", what,
                         " must be a matrix, or have at most two axes other than those "
                         "of size 1; got shape ",
                         data.shape()));
  while (sizes.size() < 2) sizes.insert(sizes.begin(), 1);
  return {sizes[0], sizes[1]};
}

/// How many of `blocks` are pruned.
std::int64_t count_of(const NormMaskRequest& request, std::int64_t blocks) {
  const auto all = static_cast<double>(blocks);
  const double level = std::clamp(request.level, request.compat ? -1.0 : 0.0, 1.0);
  const auto k = static_cast<std::int64_t>(std::nearbyint(level * all));  // half to even, as Python's round
  return k < 0 ? blocks + k : k;
}

/// Floats to rank by: 16-bit and small integer types as float32, larger ones as float64.
Tensor ranked(const Tensor& data) {
  switch (data.dtype()) {
    case Dtype::f64:
    case Dtype::i32:
    case Dtype::i64: return data.detach().to(Dtype::f64);
    default: return data.detach().to(Dtype::f32);
  }
}

}  // namespace

void check_norm_mask(const Tensor& data, const NormMaskRequest& request, const std::string& what) {
  if (std::isnan(request.level))
    throw ValueError(cat("[DataNormSparsifier] sparsity_level of ", what, " must be a number; got nan"));
  if (request.height < 1 || request.width < 1)
    throw ValueError(cat("[DataNormSparsifier] sparse_block_shape of ", what, " must have sides of at least 1; got (",
                         request.height, ", ", request.width, ")"));
  const auto area = checked_mul(static_cast<std::uint64_t>(request.height), static_cast<std::uint64_t>(request.width));
  if (!area || *area > static_cast<std::uint64_t>(INT64_MAX))
    throw ValueError(cat("[DataNormSparsifier] sparse_block_shape of ", what, " has too many cells: (", request.height,
                         ", ", request.width, ")"));
  if (request.zeros < 0 || request.zeros > static_cast<std::int64_t>(*area))
    throw ValueError(cat("[DataNormSparsifier] zeros_per_block of ", what, " must be in 0..", *area, " (block ",
                         request.height, "x", request.width, "); got ", request.zeros));
  if (data.dtype() == Dtype::boolean)
    throw DtypeError(cat("[DataNormSparsifier] ", what, " is of bool, which has no norm"));
  (void)sizes_of(data, what);
}

Tensor norm_mask(const Tensor& data, const NormMaskRequest& request, const std::string& what) {
  check_norm_mask(data, request, what);
  const auto [rows, cols] = sizes_of(data, what);
  const Block block{request.height, request.width};
  const std::int64_t count = count_of(request, count_blocks(rows, cols, block));
  if (count == 0 || request.zeros == 0) return ones(data.shape(), Dtype::i8);
  if (block.size() == 1 && request.norm == BlockNorm::l1 && data.dtype() != Dtype::f32)  // exact, integers as well
    return select_masks({data.detach()}, {.count = count, .ties = TieRule::lowest_index}, {}, Dtype::i8)[0];

  const Tensor numbers = request.compat && is_floating(data.dtype()) ? data.detach() : ranked(data);
  const Importance importance(numbers.reshape({rows, cols}), Tensor(),
                              request.norm == BlockNorm::l1 ? Importance::Of::magnitude : Importance::Of::square);
  Tensor mask = Tensor::empty(data.shape(), Dtype::i8);
  write_block_mask(importance,
                   {.block = block,
                    .count = count,
                    .zeros = request.zeros,
                    .ties = TieRule::lowest_index,
                    .by_size = !request.compat && request.norm == BlockNorm::l2},
                   mask);
  return mask;
}

}  // namespace coppice::sparsity
