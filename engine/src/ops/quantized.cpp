#include "coppice/engine/ops/quantized.h"

#include <cstring>

#include "coppice/engine/parallel.h"
#include "ops/map.h"
#include "ops/op_rows.h"
#include "quant/channels.h"
#include "quant/int8_linear.h"
#include "quant/quantize.h"
#include "quant/quantized_as.h"

namespace coppice {
namespace {

using quant::Channels;

void check_source(const char* op, const Tensor& x, Dtype dtype) {
  if (x.dtype() != Dtype::f32) throw DtypeError(cat("[", op, "] quantises float32 tensors; got ", x.dtype()));
  if (!is_quantized(dtype)) throw DtypeError(cat("[", op, "] ", dtype, " is not a quantised type"));
}

bool is_bytes(Dtype dtype) { return dtype == Dtype::qint8 || dtype == Dtype::quint8; }

/// The rule of channel `i`, or of all elements, for the kernels of bytes.
kernels::Int8Scale byte_scale(const QParams& p, std::size_t i, Dtype dtype) {
  return {.inverse = quant::inverse_of(p.scales()[i]),
          .zero = static_cast<std::int32_t>(p.zero_points()[i]),
          .is_signed = dtype == Dtype::qint8,
          .fused = !p.per_channel()};
}

/// Integers of 32 bits, with one scale.
void quantize_words(const Tensor& x, std::int32_t* to, const QParams& p) {
  const float* from = x.data<float>().data();
  const float inverse = quant::inverse_of(p.scales()[0]);
  const std::int64_t z = p.zero_points()[0];
  const QLimits limits = limits_of(Dtype::qint32);
  parallel_for(x.numel(), detail::kElementGrain / 8, [=](Rows r) {
    for (std::int64_t i = r.begin; i < r.end; ++i)
      to[i] = static_cast<std::int32_t>(quant::quantized(from[i], inverse, z, limits));
  });
}

/// With a scale for each channel, whatever the zero points.
template <class Q>
void quantize_channels(const Tensor& x, Q* to, const QParams& p, QLimits limits) {
  const float* from = x.data<float>().data();
  const bool floats = p.scheme() == QScheme::per_channel_affine_float_qparams;
  const Channels c(x.shape(), p.axis());
  c.each([&](std::int64_t channel, std::int64_t begin, std::int64_t end) {
    const auto at = static_cast<std::size_t>(channel);
    const float inverse = quant::inverse_of(p.scales()[at]);
    const float z = floats ? p.float_zero_points()[at] : static_cast<float>(p.zero_points()[at]);
    for (std::int64_t i = begin; i < end; ++i)
      to[i] = static_cast<Q>(quant::quantized_channel(from[i], inverse, z, limits));
  });
}

/// Bytes with integer zero points.
void quantize_bytes(const Tensor& x, std::uint8_t* to, const QParams& p, Dtype dtype) {
  const auto values = x.data<float>();
  if (!p.per_channel()) return quant::quantize(values, byte_scale(p, 0, dtype), to);
  const kernels::Int8Kernels& kernels = kernels::int8_in_use();
  Channels(x.shape(), p.axis()).each([&](std::int64_t channel, std::int64_t begin, std::int64_t end) {
    kernels.quantize(values.data() + begin, end - begin, byte_scale(p, static_cast<std::size_t>(channel), dtype),
                     to + begin);
  });
}

}  // namespace

Tensor quant::quantized_as(const char* op, const Tensor& x, Dtype dtype, const QParamsPtr& params) {
  check_source(op, x, dtype);
  params->check(op, x.shape(), dtype);
  Tensor q = Tensor::empty(x.shape(), dtype, params);
  auto* bytes = reinterpret_cast<std::uint8_t*>(q.mutable_bytes());
  const bool floats = params->scheme() == QScheme::per_channel_affine_float_qparams;
  if (dtype == Dtype::quint4x2) {
    std::vector<std::uint8_t> values(static_cast<std::size_t>(x.numel()));
    quantize_channels(x, values.data(), *params, limits_of(dtype));
    quant::pack_halves(values.data(), x.numel(), bytes);
  } else if (floats) {
    quantize_channels(x, bytes, *params, limits_of(dtype));
  } else if (is_bytes(dtype)) {
    quantize_bytes(x, bytes, *params, dtype);
  } else if (params->per_channel()) {
    quantize_channels(x, reinterpret_cast<std::int32_t*>(bytes), *params, limits_of(dtype));
  } else {
    quantize_words(x, reinterpret_cast<std::int32_t*>(bytes), *params);
  }
  return q;
}

namespace {

/// Values of quint4x2 and of 32 bits, and those with float zero points.
template <class Q>
void dequantize_any(const Q* from, const Shape& shape, const QParams& p, float* to) {
  if (!p.per_channel()) {
    parallel_for(shape.numel(), detail::kElementGrain, [&](Rows r) {
      for (std::int64_t i = r.begin; i < r.end; ++i) to[i] = quant::dequantized(from[i], p, 0);
    });
    return;
  }
  Channels(shape, p.axis()).each([&](std::int64_t channel, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      to[i] = quant::dequantized(from[i], p, static_cast<std::size_t>(channel));
  });
}

/// Bytes with integer zero points.
void dequantize_bytes(const Tensor& q, float* to) {
  const QParams& p = *q.qparams();
  const auto* from = reinterpret_cast<const std::uint8_t*>(q.bytes());
  const bool is_signed = q.dtype() == Dtype::qint8;
  const kernels::Int8Kernels& kernels = kernels::int8_in_use();
  const auto zero = [&p](std::size_t i) { return static_cast<std::int32_t>(p.zero_points()[i]); };
  if (!p.per_channel()) {
    const auto scale = static_cast<float>(p.scales()[0]);
    parallel_for(q.numel(), detail::kElementGrain, [&](Rows r) {
      kernels.dequantize(from + r.begin, r.size(), scale, zero(0), is_signed, to + r.begin);
    });
    return;
  }
  Channels(q.shape(), p.axis()).each([&](std::int64_t channel, std::int64_t begin, std::int64_t end) {
    const auto at = static_cast<std::size_t>(channel);
    kernels.dequantize_wide(from + begin, end - begin, p.scales()[at], zero(at), is_signed, to + begin);
  });
}

QParamsPtr channel_params(const char* op, const Tensor& scales, const Tensor& zero_points, std::int64_t axis) {
  if (scales.dim() != 1 || zero_points.dim() != 1 || scales.numel() != zero_points.numel())
    throw ShapeError(
        cat("[", op, "] needs scales and zero points [channels]; got ", scales.shape(), " and ", zero_points.shape()));
  if (!is_floating(scales.dtype())) throw DtypeError(cat("[", op, "] scales are floats; got ", scales.dtype()));
  if (is_floating(zero_points.dtype()))
    return QParams::per_channel_float(scales.to_vector<float>(), zero_points.to_vector<float>(), axis);
  return QParams::per_channel(scales.to_vector<double>(), zero_points.to_vector<std::int64_t>(), axis);
}

constexpr AttributeRow kPerTensor[] = {
    {"scale", AttributeKind::number}, {"zero_point", AttributeKind::integer}, {"dtype", AttributeKind::text}};
constexpr AttributeRow kPerChannel[] = {{"axis", AttributeKind::integer}, {"dtype", AttributeKind::text}};

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpRow kPerTensorRow =
    rows::row("quantize_per_tensor", "torch.quantize_per_tensor", "QuantizeLinear", "input", kPerTensor, OpFlags::none,
              [](rows::In in, rows::With a) {
                return TensorList{quantize_per_tensor(in[0], a.number("scale"), a.integer("zero_point"),
                                                      rows::dtype("quantize_per_tensor", a))};
              });
constexpr OpRow kPerChannelRow =
    rows::row("quantize_per_channel", "torch.quantize_per_channel", "QuantizeLinear", "input scales zero_points",
              kPerChannel, OpFlags::none, [](rows::In in, rows::With a) {
                return TensorList{quantize_per_channel(in[0], in[1], in[2], a.integer("axis"),
                                                       rows::dtype("quantize_per_channel", a))};
              });
constexpr OpRow kDequantizeRow = rows::row("dequantize", "torch.dequantize|torch.Tensor.dequantize", "DequantizeLinear",
                                           "input", {}, OpFlags::none, rows::kOne<dequantize>);
constexpr OpRow kIntReprRow =
    rows::row("int_repr", "torch.int_repr", "", "input", {}, OpFlags::none, rows::kOne<int_repr>);

}  // namespace

rows::Rows rows::quantized() {
  static constexpr const OpRow* kRows[] = {&kPerTensorRow, &kPerChannelRow, &kDequantizeRow, &kIntReprRow};
  return kRows;
}

Tensor quantize_per_tensor(const Tensor& x, double scale, std::int64_t zero_point, Dtype dtype) {
  const Op op(kPerTensorRow, [=](Arguments& a) {
    a.set("scale", scale);
    a.set("zero_point", zero_point);
    a.set("dtype", std::string(name_of(dtype)));
  });
  return op.result(quant::quantized_as("quantize_per_tensor", x, dtype, QParams::per_tensor(scale, zero_point)), {x});
}

Tensor quantize_per_channel(const Tensor& x, const Tensor& scales, const Tensor& zero_points, std::int64_t axis,
                            Dtype dtype) {
  const Op op(kPerChannelRow, [=](Arguments& a) {
    a.set("axis", axis);
    a.set("dtype", std::string(name_of(dtype)));
  });
  if (axis < 0 || axis >= x.dim())
    throw IndexError(cat("[quantize_per_channel] there is no axis ", axis, " in ", x.shape()));
  const QParamsPtr params = channel_params("quantize_per_channel", scales, zero_points, axis);
  return op.result(quant::quantized_as("quantize_per_channel", x, dtype, params), {x, scales, zero_points});
}

Tensor dequantize(const Tensor& q) {
  const Op op(kDequantizeRow);
  if (!q.is_quantized()) return op.result(q.to(Dtype::f32), {q});
  Tensor y = Tensor::empty(q.shape());
  float* to = y.mutable_data<float>().data();
  const QParams& p = *q.qparams();
  if (q.dtype() == Dtype::qint32)
    dequantize_any(reinterpret_cast<const std::int32_t*>(q.bytes()), q.shape(), p, to);
  else if (p.scheme() != QScheme::per_channel_affine_float_qparams)
    dequantize_bytes(q, to);
  else
    dequantize_any(int_repr(q).data<std::uint8_t>().data(), q.shape(), p, to);
  return op.result(std::move(y), {q});
}

Tensor int_repr(const Tensor& q) {
  const Op op(kIntReprRow);
  if (!q.is_quantized()) throw StateError(cat("[int_repr] ", q.dtype(), " tensors are not quantised"));
  Tensor y = Tensor::empty(q.shape(), stored_dtype(q.dtype()));
  if (q.dtype() == Dtype::quint4x2) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(q.bytes());
    const auto to = y.mutable_data<std::uint8_t>();
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = static_cast<std::uint8_t>((from[i / 2] >> (4 * (i % 2))) & 15);
  } else if (q.numel() > 0) {
    std::memcpy(y.mutable_bytes(), q.bytes(), q.nbytes());
  }
  return op.result(std::move(y), {q});
}

}  // namespace coppice
