#include "coppice/engine/qparams.h"

#include <array>
#include <cmath>
#include <limits>
#include <ostream>

#include "coppice/engine/error.h"

namespace coppice {
namespace {

constexpr std::array<std::string_view, 5> kNames{"per_tensor_affine", "per_tensor_symmetric", "per_channel_affine",
                                                 "per_channel_symmetric", "per_channel_affine_float_qparams"};

void check_scale(double scale) {
  const auto single = static_cast<float>(scale);  // products are taken with it and its inverse
  if (!(single > 0) || !std::isfinite(single) || !std::isfinite(1.0f / single))
    throw ValueError(cat("[QParams] a scale must be finite and above 0; got ", scale));
}

void check_lists(std::size_t scales, std::size_t zero_points, std::int64_t axis) {
  if (scales != zero_points)
    throw ValueError(cat("[QParams] ", scales, " scales and ", zero_points, " zero points; one of each is needed"));
  if (axis < 0) throw ValueError(cat("[QParams] axis must be at least 0; got ", axis));
}

}  // namespace

std::string_view name_of(QScheme scheme) { return kNames[static_cast<std::size_t>(scheme)]; }
std::string to_string(QScheme scheme) { return std::string(name_of(scheme)); }
std::ostream& operator<<(std::ostream& out, QScheme scheme) { return out << name_of(scheme); }
bool is_per_channel(QScheme scheme) {
  return scheme != QScheme::per_tensor_affine && scheme != QScheme::per_tensor_symmetric;
}
bool is_symmetric(QScheme scheme) {
  return scheme == QScheme::per_tensor_symmetric || scheme == QScheme::per_channel_symmetric;
}

QLimits limits_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::qint8: return {-128, 127};
    case Dtype::quint8: return {0, 255};
    case Dtype::quint4x2: return {0, 15};
    case Dtype::qint32: return {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
    default: throw DtypeError(cat("[limits_of] ", dtype, " is not a quantised type"));
  }
}

QParamsPtr QParams::per_tensor(double scale, std::int64_t zero_point) {
  check_scale(scale);
  QParams p;
  p.scales_ = {scale};
  p.zero_points_ = {zero_point};
  return std::make_shared<const QParams>(std::move(p));
}

QParamsPtr QParams::per_channel(std::vector<double> scales, std::vector<std::int64_t> zero_points, std::int64_t axis) {
  check_lists(scales.size(), zero_points.size(), axis);
  for (const double scale : scales) check_scale(scale);
  QParams p;
  p.scheme_ = QScheme::per_channel_affine;
  p.scales_ = std::move(scales);
  p.zero_points_ = std::move(zero_points);
  p.axis_ = axis;
  return std::make_shared<const QParams>(std::move(p));
}

QParamsPtr QParams::per_channel_float(std::vector<float> scales, std::vector<float> zero_points, std::int64_t axis) {
  check_lists(scales.size(), zero_points.size(), axis);
  for (const float scale : scales) check_scale(scale);
  for (const float z : zero_points)
    if (!std::isfinite(z)) throw ValueError(cat("[QParams] a zero point must be finite; got ", z));
  QParams p;
  p.scheme_ = QScheme::per_channel_affine_float_qparams;
  p.scales_.assign(scales.begin(), scales.end());
  p.float_zero_points_ = std::move(zero_points);
  p.axis_ = axis;
  return std::make_shared<const QParams>(std::move(p));
}

void QParams::check(std::string_view op, const Shape& shape, Dtype dtype) const {
  if (!is_quantized(dtype)) throw DtypeError(cat("[", op, "] ", dtype, " is not a quantised type"));
  const bool floats = scheme_ == QScheme::per_channel_affine_float_qparams;
  if (floats ? dtype != Dtype::quint8 && dtype != Dtype::quint4x2 : dtype == Dtype::quint4x2)
    throw DtypeError(cat("[", op, "] ", dtype, " tensors do not have ", scheme_, " parameters"));
  if (per_channel()) {
    if (axis_ >= shape.rank()) throw IndexError(cat("[", op, "] there is no axis ", axis_, " in ", shape));
    if (shape[axis_] != static_cast<std::int64_t>(scales_.size()))
      throw ShapeError(cat("[", op, "] ", scales_.size(), " scales for axis ", axis_, " of ", shape));
  }
  if (dtype == Dtype::quint4x2 && shape[-1] % 2 != 0)
    throw ShapeError(cat("[", op, "] quint4x2 needs an even last size, two values to a byte; got ", shape));
  const QLimits limits = limits_of(dtype);
  for (const std::int64_t z : zero_points_)
    if (z < limits.min || z > limits.max)
      throw ValueError(cat("[", op, "] zero point ", z, " is outside ", limits.min, "..", limits.max, " of ", dtype));
}

}  // namespace coppice
