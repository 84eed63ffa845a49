#pragma once
/// Initial values of layers.

#include "coppice/engine/tensor.h"

namespace coppice {
class Generator;
}

namespace coppice::nn {

/// Uniform in ±1/sqrt(fan_in): what PyTorch's Linear and Conv layers start with (kaiming_uniform_ with a = √5 gives
/// this bound). Draws from `generator`, or from the default one. fan_in 0: zeros.
/// Source: torch/nn/modules/linear.py, reset_parameters
[[nodiscard]] Tensor uniform_fan(const Shape& shape, std::int64_t fan_in, Generator* generator = nullptr);

/// While one lives, layers made by this thread leave their weights unfilled and draw no random numbers: for loaders
/// that overwrite them anyway.
class SkipInit {
 public:
  SkipInit();
  ~SkipInit();
  SkipInit(const SkipInit&) = delete;
  SkipInit& operator=(const SkipInit&) = delete;
  [[nodiscard]] static bool active();

 private:
  bool before_;
};

}  // namespace coppice::nn
