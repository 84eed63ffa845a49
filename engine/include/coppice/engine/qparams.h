#pragma once
/// How the integers of a quantised tensor stand for real numbers: x ≈ scale * (q - zero_point).

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/engine/dtype.h"
#include "coppice/engine/shape.h"

namespace coppice {

/// PyTorch's words. The symmetric schemes are settings of observers; a tensor is affine, with zero points that happen
/// to be 0. `float_qparams` holds zero points that are no integers, as embedding tables have: x ≈ scale * (q - z).
enum class QScheme : std::uint8_t {
  per_tensor_affine,
  per_tensor_symmetric,
  per_channel_affine,
  per_channel_symmetric,
  per_channel_affine_float_qparams,
};
/// "per_tensor_affine", …
[[nodiscard]] std::string_view name_of(QScheme scheme);
[[nodiscard]] std::string to_string(QScheme scheme);
std::ostream& operator<<(std::ostream& out, QScheme scheme);
[[nodiscard]] bool is_per_channel(QScheme scheme);
[[nodiscard]] bool is_symmetric(QScheme scheme);

/// The integers that a quantised type stores: qint8 -128..127, quint8 0..255, quint4x2 0..15, qint32 all of them.
struct QLimits {
  std::int64_t min, max;
  friend bool operator==(const QLimits&, const QLimits&) = default;
};
/// @throws DtypeError  if the type is not quantised
[[nodiscard]] QLimits limits_of(Dtype dtype);

/// Parameters of one quantised tensor; shared by its copies and views, never changed. Which type's integers they belong
/// to is checked where they meet a tensor (check()).
class QParams {
 public:
  /// One scale and zero point for all elements.
  /// @throws ValueError  unless `scale` is finite and above 0
  [[nodiscard]] static std::shared_ptr<const QParams> per_tensor(double scale, std::int64_t zero_point);
  /// Those of index i along `axis` are scales[i] and zero_points[i].
  /// @throws ValueError  for a scale as above, a negative axis, or lists of different lengths
  [[nodiscard]] static std::shared_ptr<const QParams> per_channel(std::vector<double> scales,
                                                                  std::vector<std::int64_t> zero_points,
                                                                  std::int64_t axis);
  /// The same with zero points of any finite value.
  [[nodiscard]] static std::shared_ptr<const QParams> per_channel_float(std::vector<float> scales,
                                                                        std::vector<float> zero_points,
                                                                        std::int64_t axis);

  [[nodiscard]] QScheme scheme() const { return scheme_; }
  [[nodiscard]] bool per_channel() const { return is_per_channel(scheme_); }
  /// One of each for a tensor, else one for each channel. Scales are doubles even where they came from an observer,
  /// which gives float32.
  [[nodiscard]] const std::vector<double>& scales() const { return scales_; }
  [[nodiscard]] const std::vector<std::int64_t>& zero_points() const { return zero_points_; }
  [[nodiscard]] const std::vector<float>& float_zero_points() const { return float_zero_points_; }
  /// 0 for a tensor.
  [[nodiscard]] std::int64_t axis() const { return axis_; }

  /// Whether a tensor of that shape and type may have these parameters.
  /// @param op  what to name in a message
  /// @throws IndexError  if there is no such axis; ShapeError  if its size is not the number of channels
  /// @throws ValueError  for a zero point outside the limits of the type
  /// @throws DtypeError  if the type is not quantised, or not with such parameters: quint4x2 has float ones
  void check(std::string_view op, const Shape& shape, Dtype dtype) const;

  friend bool operator==(const QParams&, const QParams&) = default;

 private:
  QParams() = default;
  QScheme scheme_ = QScheme::per_tensor_affine;
  std::vector<double> scales_;
  std::vector<std::int64_t> zero_points_;
  std::vector<float> float_zero_points_;
  std::int64_t axis_ = 0;
};

using QParamsPtr = std::shared_ptr<const QParams>;

}  // namespace coppice
