#pragma once
// Ranges of what schedulers count. Private to sparsity.

#include <cstdint>

#include "coppice/engine/error.h"

namespace coppice::sparsity {

constexpr std::int64_t kLastEpoch = std::int64_t{1} << 53;  // the formulas of schedules are in double

/// @throws ValueError
inline void check_epoch(std::int64_t epoch) {
  if (epoch < -kLastEpoch || epoch >= kLastEpoch)
    throw ValueError(cat("[scheduler] last_epoch is out of range: ", epoch));
}

/// Of a state: what was started has made a step. @throws ValueError
inline void check_step_count(std::int64_t count) {
  if (count < 1 || count >= kLastEpoch)
    throw ValueError(cat("[load_state_dict] _step_count must be in 1..", kLastEpoch - 1, "; got ", count));
}

}  // namespace coppice::sparsity
