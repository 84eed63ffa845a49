#include "coppice/engine/quantized_tensor.h"

#include <cstring>

#include "quant/channels.h"
#include "quant/quantize.h"
#include "quant/quantized_as.h"

namespace coppice {
namespace {

const QParams& params_of(const char* op, const Tensor& q) {
  if (!q.is_quantized()) throw StateError(cat("[", op, "] ", q.dtype(), " tensors are not quantised"));
  return *q.qparams();
}
const QParams& params_of(const char* op, const Tensor& q, bool per_channel) {
  const QParams& p = params_of(op, q);
  if (p.per_channel() != per_channel)
    throw StateError(cat("[", op, "] the tensor is quantised ", p.scheme(), per_channel ? "; it has one scale" : ""));
  return p;
}

/// Of which channel element `i` is; 0 where there is one scale.
std::size_t channel_of(const Tensor& q, std::int64_t i) {
  if (!q.qparams()->per_channel()) return 0;
  const quant::Channels c(q.shape(), q.qparams()->axis());
  return static_cast<std::size_t>(i / c.inner % c.channels);
}

}  // namespace

float quant::element(const Tensor& q, std::int64_t i) {
  const std::size_t channel = channel_of(q, i);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(q.bytes());
  switch (q.dtype()) {
    case Dtype::quint4x2: return dequantized((bytes[i / 2] >> (i % 2 == 0 ? 0 : 4)) & 15, *q.qparams(), channel);
    case Dtype::qint32: return dequantized(reinterpret_cast<const std::int32_t*>(bytes)[i], *q.qparams(), channel);
    case Dtype::qint8: return dequantized(static_cast<std::int8_t>(bytes[i]), *q.qparams(), channel);
    default: return dequantized(bytes[i], *q.qparams(), channel);
  }
}

void quant::set_element(Tensor& q, std::int64_t i, float value) {
  const QParams& p = *q.qparams();
  const QLimits limits = limits_of(q.dtype());
  const std::size_t at = channel_of(q, i);
  std::int64_t integer = 0;
  if (p.per_channel()) {
    const bool floats = p.scheme() == QScheme::per_channel_affine_float_qparams;
    const float zero = floats ? p.float_zero_points()[at] : static_cast<float>(p.zero_points()[at]);
    integer = quantized_channel(value, inverse_of(p.scales()[at]), zero, limits);
  } else {
    integer = quantized(value, inverse_of(p.scales()[0]), p.zero_points()[0], limits);
  }
  auto* bytes = reinterpret_cast<std::uint8_t*>(q.mutable_bytes());
  if (q.dtype() == Dtype::quint4x2) {
    const int shift = i % 2 == 0 ? 0 : 4;
    bytes[i / 2] = static_cast<std::uint8_t>((bytes[i / 2] & ~(15 << shift)) | (static_cast<int>(integer) << shift));
  } else if (q.dtype() == Dtype::qint32) {
    reinterpret_cast<std::int32_t*>(bytes)[i] = static_cast<std::int32_t>(integer);
  } else {
    bytes[i] = static_cast<std::uint8_t>(integer);
  }
}

Tensor quantize_like(const Tensor& x, const Tensor& like) {
  (void)params_of("quantize_like", like);
  return quant::quantized_as("quantize_like", x, like.dtype(), like.qparams());
}

Tensor make_quantized(const Tensor& integers, Dtype dtype, QParamsPtr qparams) {
  if (!is_quantized(dtype) || integers.dtype() != stored_dtype(dtype))
    throw DtypeError(cat("[make_quantized] ", integers.dtype(), " integers do not make a ", dtype, " tensor"));
  Tensor q = Tensor::empty(integers.shape(), dtype, std::move(qparams));
  if (dtype == Dtype::quint4x2) {
    const auto values = integers.data<std::uint8_t>();
    for (const std::uint8_t v : values)
      if (v > 15) throw ValueError(cat("[make_quantized] ", int{v}, " is outside 0..15 of quint4x2"));
    quant::pack_halves(values.data(), integers.numel(), reinterpret_cast<std::uint8_t*>(q.mutable_bytes()));
  } else if (q.numel() > 0) {
    std::memcpy(q.mutable_bytes(), integers.bytes(), q.nbytes());
  }
  return q;
}

QScheme qscheme(const Tensor& q) { return params_of("qscheme", q).scheme(); }
double q_scale(const Tensor& q) { return params_of("q_scale", q, false).scales()[0]; }
std::int64_t q_zero_point(const Tensor& q) { return params_of("q_zero_point", q, false).zero_points()[0]; }
std::int64_t q_per_channel_axis(const Tensor& q) { return params_of("q_per_channel_axis", q, true).axis(); }

Tensor q_per_channel_scales(const Tensor& q) {
  const QParams& p = params_of("q_per_channel_scales", q, true);
  const Tensor scales = Tensor::from(p.scales(), Shape{static_cast<std::int64_t>(p.scales().size())});
  return p.scheme() == QScheme::per_channel_affine_float_qparams ? scales.to(Dtype::f32) : scales;
}

Tensor q_per_channel_zero_points(const Tensor& q) {
  const QParams& p = params_of("q_per_channel_zero_points", q, true);
  const Shape channels{static_cast<std::int64_t>(p.scales().size())};
  if (p.scheme() == QScheme::per_channel_affine_float_qparams) return Tensor::from(p.float_zero_points(), channels);
  return Tensor::from(p.zero_points(), channels);
}

}  // namespace coppice
