#include "quant/weight_checks.h"

#include <algorithm>

namespace coppice::quant {

void check_weight(const char* op, const Tensor& weight, const Tensor& bias, std::int64_t rank) {
  if (weight.dtype() != Dtype::qint8) throw DtypeError(cat("[", op, "] weights are qint8; got ", weight.dtype()));
  if (weight.dim() != rank) throw ShapeError(cat("[", op, "] needs a weight of ", rank, " axes; got ", weight.shape()));
  if (weight.qparams()->axis() != 0)
    throw ValueError(cat("[", op, "] scales of a weight are along axis 0; got axis ", weight.qparams()->axis()));
  if (!bias.defined()) return;
  if (bias.dtype() != Dtype::f32) throw DtypeError(cat("[", op, "] bias must be float32; got ", bias.dtype()));
  if (bias.shape() != Shape{weight.size(0)})
    throw ShapeError(cat("[", op, "] bias must be (", weight.size(0), ",); got ", bias.shape()));
}

void check_input(const char* op, const Tensor& x) {
  if (is_floating(x.dtype()))
    throw DtypeError(
        cat("[", op, "] got ", x.dtype(), " where quint8 is needed: no QuantStub stands before this layer"));
  if (x.dtype() != Dtype::quint8) throw DtypeError(cat("[", op, "] takes quint8 tensors; got ", x.dtype()));
  if (x.qparams()->per_channel())
    throw DtypeError(cat("[", op, "] takes inputs with one scale; got ", x.qparams()->scheme()));
}

std::span<const std::int8_t> integers_of(const Tensor& weight) {
  return {reinterpret_cast<const std::int8_t*>(weight.bytes()), static_cast<std::size_t>(weight.numel())};
}

std::span<const float> floats_of(const Tensor& bias) {
  return bias.defined() ? bias.data<float>() : std::span<const float>();
}

std::vector<std::int32_t> zeros_of(const Tensor& weight) {
  const auto& zeros = weight.qparams()->zero_points();
  if (std::ranges::all_of(zeros, [](std::int64_t z) { return z == 0; })) return {};
  return {zeros.begin(), zeros.end()};
}

StaticConstants constants_for(const Tensor& weight, const Tensor& bias, const Tensor& x, const QuantizedOutput& out,
                              Requantize rule) {
  const auto affine = [](double scale, std::int64_t zero) {
    return Affine{static_cast<float>(scale), static_cast<std::int32_t>(zero)};
  };
  const QParams& from = *x.qparams();
  return {rule,
          affine(from.scales()[0], from.zero_points()[0]),
          affine(out.scale, out.zero_point),
          out.relu,
          weight.size(0),
          weight.qparams()->scales(),
          floats_of(bias)};
}

}  // namespace coppice::quant
