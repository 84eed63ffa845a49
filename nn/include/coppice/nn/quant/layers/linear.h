#pragma once
/// Linear layers whose weights are integers: torch.ao.nn.quantized.Linear and its relatives.

#include "coppice/engine/quantized_weight.h"
#include "coppice/nn/adopts_tensors.h"
#include "coppice/nn/module.h"

namespace coppice::nn::quant {

/// What quantised Linear layers share. The weight and the float bias stand where PyTorch's state dicts have them:
/// "_packed_params._packed_params.0" (qint8 [out, in]) and ".1" ([out], or missing).
class QuantizedLinearBase : public UnaryModule {
 public:
  QuantizedLinearBase(const QuantizedLinearBase& other);
  ~QuantizedLinearBase() override;
  [[nodiscard]] Tensor weight() const;
  [[nodiscard]] Tensor bias() const;  ///< undefined where there is none
  /// Both, as PyTorch's _weight_bias().
  [[nodiscard]] std::pair<Tensor, Tensor> weight_bias() const { return {weight(), bias()}; }
  /// Other values: what is run from the next call on. @throws DtypeError, ShapeError  as QuantizedLinearWeight
  void set_weight_bias(const Tensor& weight, const Tensor& bias);
  [[nodiscard]] QEngine engine() const { return engine_; }
  /// The weight as it is run. @throws StateError  before a file brought the values
  [[nodiscard]] QuantizedLinearWeight prepared() const;

 protected:
  QuantizedLinearBase(const Tensor& weight, const Tensor& bias, QEngine engine);
  /// Without values: a file brings them.
  explicit QuantizedLinearBase(const Arguments& a);
  /// Puts them in the place of the pair that is there, unchecked.
  void put(const Tensor& weight, const Tensor& bias);
  [[nodiscard]] Arguments linear_arguments() const;

 private:
  struct Cache;
  QEngine engine_;
  std::shared_ptr<Cache> cache_;
};

/// quint8 [..., in] -> quint8 [..., out] with the buffers scale (float32 []) and zero_point (int64 []).
/// Shapes, errors and arithmetic: QuantizedLinearWeight::linear().
class QuantizedLinear : public Implements<QuantizedLinear, QuantizedLinearBase>, public AdoptsTensors {
 public:
  static constexpr std::string_view kType = "quantized.Linear";
  /// @param weight  qint8 [out, in]; @param bias  float32 [out] or undefined
  QuantizedLinear(const Tensor& weight, const Tensor& bias, const QuantizedOutput& out,
                  QEngine engine = default_qengine());
  explicit QuantizedLinear(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override { return linear_arguments(); }
  [[nodiscard]] double scale() const { return tensor("scale").item(); }
  [[nodiscard]] std::int64_t zero_point() const { return tensor("zero_point").item<std::int64_t>(); }
  void adopt(const NamedTensors& own) override;
  void check_adoptable(const NamedTensors& own) const override;

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
  [[nodiscard]] virtual bool with_relu() const { return false; }
};

/// The same with negative values cut off: integers not below the zero point.
class QuantizedLinearReLU final : public Implements<QuantizedLinearReLU, QuantizedLinear> {
 public:
  static constexpr std::string_view kType = "intrinsic.quantized.LinearReLU";
  using Implements::Implements;

 protected:
  [[nodiscard]] bool with_relu() const override { return true; }
};

/// float32 -> float32: the input is quantised at each call. See QuantizedLinearWeight::linear_dynamic(). A float16
/// weight is a product in float32 with the weight's values.
class DynamicLinear : public Implements<DynamicLinear, QuantizedLinearBase> {
 public:
  static constexpr std::string_view kType = "quantized.dynamic.Linear";
  explicit DynamicLinear(const Tensor& weight, const Tensor& bias, QEngine engine = default_qengine());
  explicit DynamicLinear(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
  [[nodiscard]] virtual bool with_relu() const { return false; }
};

class DynamicLinearReLU final : public Implements<DynamicLinearReLU, DynamicLinear> {
 public:
  static constexpr std::string_view kType = "intrinsic.quantized.dynamic.LinearReLU";
  using Implements::Implements;

 protected:
  [[nodiscard]] bool with_relu() const override { return true; }
};

/// Holds the pair; never called.
class LinearPackedParams final : public Implements<LinearPackedParams, Module>, public AdoptsTensors {
 public:
  static constexpr std::string_view kType = "quantized.LinearPackedParams";
  LinearPackedParams() = default;
  /// A pair for a file to fill: "in_features", "out_features", "bias", "dtype"; without them what holds the pair.
  explicit LinearPackedParams(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  /// The weight keeps its type, and both their shapes.
  void adopt(const NamedTensors& own) override;
  void check_adoptable(const NamedTensors& own) const override;

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;
};

}  // namespace coppice::nn::quant
