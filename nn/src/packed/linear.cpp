#include "coppice/nn/packed/linear.h"

#include "coppice/engine/ops/packed.h"

namespace coppice::nn {

PackedLinear::PackedLinear(const Arguments& a) {
  expect(packed_format_from(a), a.integer("out_features"), a.integer("in_features"), a.boolean("bias", true));
}

std::shared_ptr<PackedLinear> PackedLinear::from_dense(const Tensor& weight, const Tensor& bias, PackedFormat format) {
  if (weight.dim() != 2) throw ShapeError(cat("[PackedLinear] weight must be [out, in]; got ", weight.shape()));
  auto layer = std::make_shared<PackedLinear>(Arguments{{"format", to_string(format)},
                                                        {"out_features", weight.size(0)},
                                                        {"in_features", weight.size(1)},
                                                        {"bias", bias.defined()}});
  layer->hold(PackedMatrix::pack(weight.detach(), format), bias);
  return layer;
}

Arguments PackedLinear::arguments() const {
  const PackedMatrix w = weight();
  return {{"in_features", w.cols()},
          {"out_features", w.rows()},
          {"bias", find_tensor("bias").defined()},
          {"format", to_string(w.format())}};
}

Tensor PackedLinear::forward(const Tensor& x) const {
  return infer(x, [&](const PackedMatrix& w, const Tensor& bias) { return linear(x, w, bias); });
}

}  // namespace coppice::nn
