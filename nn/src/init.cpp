#include "coppice/nn/init.h"

#include <cmath>

#include "coppice/engine/create.h"
#include "coppice/engine/random.h"

namespace coppice::nn {
namespace {
thread_local bool skipping = false;
}

SkipInit::SkipInit() : before_(skipping) { skipping = true; }
SkipInit::~SkipInit() { skipping = before_; }
bool SkipInit::active() { return skipping; }

Tensor uniform_fan(const Shape& shape, std::int64_t fan_in, Generator* generator) {
  if (skipping) return Tensor::empty(shape);
  Tensor t = zeros(shape);
  if (fan_in <= 0) return t;
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  Generator& g = generator != nullptr ? *generator : default_generator();
  g.uniform(t.mutable_data<float>(), -bound, bound);
  return t;
}

}  // namespace coppice::nn
