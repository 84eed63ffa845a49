#pragma once
/// Which of several equal scores a selection takes.

#include "coppice/engine/cxx20.h"

#include <cstdint>

namespace coppice {

enum class TieRule : std::uint8_t {
  lowest_index,  ///< the lower row-major index first: linear time, parallel, the same everywhere
  pytorch,       ///< what torch.topk takes on a CPU, index for index, where the standard library is libstdc++
};

}  // namespace coppice
