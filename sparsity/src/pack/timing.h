#pragma once
// How long the formats of a layer take. Private to pack.

#include <cstdint>
#include <optional>
#include <vector>

#include "coppice/nn/module.h"

namespace coppice::sparsity {

/// Microseconds of one call at batch 1 and at batch 64.
struct CallTimes {
  double one = 0;
  double many = 0;
};

/// Bytes that a call of a Linear or Conv2d on `samples` inputs of shape `input` takes: inputs, results and the column
/// matrices of all threads. Infinity where a size cannot be counted.
[[nodiscard]] double call_bytes(const nn::Module& layer, const Shape& input, std::int64_t samples);

/// Median times of modules that compute the same as `layer`, measured in turn so that a slow moment hits all of them.
/// A batch that would take more than 256 MiB is halved until it does not, and its time multiplied accordingly: settings
/// of a few bytes may ask for inputs of any size.
/// @param input  shape of one sample, without the batch axis
/// @return  nothing if one sample alone takes more than 256 MiB
[[nodiscard]] std::optional<std::vector<CallTimes>> time_calls(const nn::Module& layer,
                                                               const std::vector<const nn::Module*>& modules,
                                                               const Shape& input, int runs);

}  // namespace coppice::sparsity
