#pragma once
/// Lists of blocks as kernels take them.

#include "format.h"
#include "kernels/sparse/sparse.h"

namespace coppice::sparse {

/// @param w  of a format of blocks; it must have passed the check
[[nodiscard]] kernels::PackedView view_blocks(const Packed& w);

}  // namespace coppice::sparse
