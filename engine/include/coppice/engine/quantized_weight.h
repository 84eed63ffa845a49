#pragma once
/// Weights of quantised layers, made ready once for integer products.

#include <memory>
#include <span>
#include <string_view>

#include "coppice/engine/ops/conv.h"
#include "coppice/engine/tensor.h"

namespace coppice {

/// Whose arithmetic a quantised layer follows, by PyTorch's names of its engines. They differ in where a result is
/// rounded: fbgemm and the Linear layers of x86 add the zero point after rounding, onednn and the convolutions of x86
/// before; qnnpack first rounds the bias to an integer.
enum class QEngine : std::uint8_t { fbgemm, x86, qnnpack, onednn };
[[nodiscard]] std::string_view name_of(QEngine engine);
[[nodiscard]] std::string to_string(QEngine engine);
/// @throws ValueError  for another name
[[nodiscard]] QEngine qengine_from_name(std::string_view name);
/// The engine of layers that are converted from here on; x86 at first. Source: torch.backends.quantized.engine
[[nodiscard]] QEngine default_qengine();
/// @return  the one before
QEngine set_default_qengine(QEngine engine);

/// What a static layer writes: quint8 with these parameters, not below the zero point if `relu`.
struct QuantizedOutput {
  double scale = 1;
  std::int64_t zero_point = 0;
  bool relu = false;
};

/// A weight [out, in] of qint8 with one scale or one for each output, and its float bias. Zero blocks are left out
/// where that makes products faster, which depends on the weight alone. Immutable; copies share everything; safe to use
/// from many threads.
///
/// All results are the same integers for every instruction-set level, number of threads and choice of storage. Sums are
/// exact (modulo 2^32, which only more than 33,025 inputs can reach).
class QuantizedLinearWeight {
 public:
  /// @param weight  [out, in] qint8, per tensor or per channel along axis 0; kept, not copied: it is not to be written
  /// @param bias    float32 [out], or undefined
  /// @throws DtypeError  for another type (quint8 weights too); ShapeError; ValueError  for channels along another axis
  QuantizedLinearWeight(const Tensor& weight, const Tensor& bias);

  /// Throws what the constructor would, and makes nothing ready.
  static void check(const Tensor& weight, const Tensor& bias);

  [[nodiscard]] const Tensor& weight() const;
  [[nodiscard]] const Tensor& bias() const;
  /// How the weight is stored for products: "dense", or the block: "16x4", "8x4", "4x4", "1x4".
  [[nodiscard]] std::string_view storage() const;

  /// Static: quint8 in and out. x: [..., in] with at least two axes, per tensor -> [..., out].
  /// @throws DtypeError  for floats, naming the missing QuantStub, and for qint8; ShapeError
  /// Source: torch.ops.quantized.linear, linear_relu
  [[nodiscard]] Tensor linear(const Tensor& x, const QuantizedOutput& out, QEngine engine) const;

  /// Dynamic: float32 in and out; x is quantised with parameters of its own range in 0..127 (qnnpack too, where PyTorch
  /// takes 0..255). x: [..., in] -> [..., out]. Source: torch.ops.quantized.linear_dynamic
  /// NaN counts as 0. @throws DtypeError, ShapeError; ValueError  for infinities in x
  [[nodiscard]] Tensor linear_dynamic(const Tensor& x, QEngine engine, bool relu = false) const;

 private:
  struct Held;
  std::shared_ptr<const Held> held_;
};

/// What a convolution puts around its input.
enum class QPaddingMode : std::uint8_t { zeros, reflect };

/// A weight [out, in / groups, kh, kw] of qint8 and its bias, likewise.
class QuantizedConv2dWeight {
 public:
  /// @throws as QuantizedLinearWeight, and as conv_geometry() for the options
  QuantizedConv2dWeight(const Tensor& weight, const Tensor& bias, const ConvOptions& options,
                        QPaddingMode mode = QPaddingMode::zeros);
  [[nodiscard]] const Tensor& weight() const;
  [[nodiscard]] const Tensor& bias() const;

  /// x: [n, in, h, w] quint8 -> [n, out, oh, ow]. Padding of zeros counts as the zero point of x.
  /// @throws DtypeError, ShapeError, ValueError. Source: torch.ops.quantized.conv2d, conv2d_relu
  [[nodiscard]] Tensor conv2d(const Tensor& x, const QuantizedOutput& out, QEngine engine) const;

 private:
  struct Held;
  std::shared_ptr<const Held> held_;
};

}  // namespace coppice
