#pragma once
// Latency of models, measured so that a comparison holds on a noisy machine.

#include <cstdint>
#include <vector>

#include "coppice/nn/module.h"

namespace coppice::cli {

/// Milliseconds of one call.
struct Latency {
  double p50 = 0;
  double p95 = 0;
};

/// Calls the models in turn on `x`, under NoGrad; `rounds` samples of each, as race() takes them.
[[nodiscard]] std::vector<Latency> measure(const std::vector<const nn::Module*>& models, const Tensor& x,
                                           int rounds = 101);

/// Bytes that parameters and buffers take in memory; shared ones once.
[[nodiscard]] std::int64_t memory_bytes(const nn::Module& model);

}  // namespace coppice::cli
