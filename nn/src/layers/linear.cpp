#include "coppice/nn/layers/linear.h"

#include "coppice/engine/ops/linalg.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/nn/init.h"
#include "layers/common_type.h"

namespace coppice::nn {

Linear::Linear(std::int64_t in, std::int64_t out, bool bias) {
  if (in < 0 || out < 0)
    throw ValueError(cat("[Linear] in_features and out_features must be at least 0; got ", in, " and ", out));
  register_parameter("weight", uniform_fan({out, in}, in));
  register_parameter("bias", bias ? uniform_fan({out}, in) : Tensor());
}

Linear::Linear(const Arguments& a)
    : Linear(a.integer("in_features"), a.integer("out_features"), a.boolean("bias", true)) {}

Arguments Linear::arguments() const {
  return {{"in_features", in_features()}, {"out_features", out_features()}, {"bias", find_tensor("bias").defined()}};
}

Tensor Linear::forward(const Tensor& x) const {
  const Tensor weight = tensor("weight"), bias = find_tensor("bias");
  const auto type = common_type({x, weight, bias});
  return linear(in_type(x, type), in_type(weight, type), in_type(bias, type));
}

Tensor Flatten::forward(const Tensor& x) const { return flatten(x, start_, end_); }

}  // namespace coppice::nn
