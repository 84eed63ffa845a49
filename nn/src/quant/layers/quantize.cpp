#include "coppice/nn/quant/layers/quantize.h"

#include "coppice/engine/ops/quantized.h"
#include "quant/layers/checked_buffers.h"
#include "quant/words.h"

namespace coppice::nn::quant {

Quantize::Quantize(double scale, std::int64_t zero_point, Dtype dtype) : dtype_(dtype) {
  QParams::per_tensor(scale, zero_point)->check(kType, Shape{}, dtype);
  register_buffer("scale", Tensor::of({scale}));
  register_buffer("zero_point", Tensor::from(std::vector<std::int64_t>{zero_point}, Shape{1}));
}

Quantize::Quantize(const Arguments& a)
    : Quantize(a.number("scale", 1), a.integer("zero_point", 0), dtype_of_word(a.text("dtype", "quint8"))) {}

Arguments Quantize::arguments() const {
  return {{"scale", tensor("scale").item()},
          {"zero_point", tensor("zero_point").item<std::int64_t>()},
          {"dtype", std::string(name_of(dtype_))}};
}

void Quantize::check_adoptable(const NamedTensors& own) const {
  check_qparams_buffers(kType, own, Shape{1}, dtype_);
  check_names(kType, own, {"scale", "zero_point"});
}

void Quantize::adopt(const NamedTensors& own) {
  check_adoptable(own);
  show_buffers(*this, own);
}

Tensor Quantize::forward(const Tensor& x) const {
  return quantize_per_tensor(x.to(Dtype::f32), tensor("scale").item<float>(), tensor("zero_point").item<std::int64_t>(),
                             dtype_);
}

Tensor DeQuantize::forward(const Tensor& x) const { return dequantize(x); }

}  // namespace coppice::nn::quant
