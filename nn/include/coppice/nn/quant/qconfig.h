#pragma once
/// How a module is to be quantised: which observers watch its output and its weight.
///
/// Source: torch/ao/quantization/qconfig.py

#include <memory>
#include <string>
#include <string_view>

#include "coppice/engine/arguments.h"
#include "coppice/nn/quant/observer.h"

namespace coppice::nn::quant {

/// Makes fresh observers or fake quantisers of a registered type. Data, so that it can be compared, printed and kept;
/// what PyTorch writes as MinMaxObserver.with_args(dtype=torch.qint8).
struct ObserverFactory {
  std::string type;
  Arguments arguments;

  /// @throws KeyError, ValueError, TypeError  as make_module(); ValueError  if the type is no observer
  [[nodiscard]] std::shared_ptr<ObserverBase> operator()() const;
  /// The same with these arguments set, others kept.
  [[nodiscard]] ObserverFactory with_args(const Arguments& more) const;
  friend bool operator==(const ObserverFactory&, const ObserverFactory&) = default;
};
/// "MinMaxObserver{'dtype': 'qint8'}"
[[nodiscard]] std::string to_string(const ObserverFactory& factory);

/// Factories of the two observers. An identity in one half (NoopObserver) leaves that half in float.
struct QConfig {
  ObserverFactory activation, weight;
  friend bool operator==(const QConfig&, const QConfig&) = default;
};
[[nodiscard]] std::string to_string(const QConfig& qconfig);

/// Shared by the modules that have it, never changed. Null switches quantisation off where it stands.
using QConfigPtr = std::shared_ptr<const QConfig>;
[[nodiscard]] QConfigPtr make_qconfig(ObserverFactory activation, ObserverFactory weight);

/// For quantisation after training. The names of backends are fbgemm, x86, qnnpack and onednn.
/// fbgemm and x86: histogram of activations, quint8 in 0..127, weights qint8 per channel; onednn: the same in 0..255;
/// qnnpack: 0..255, weights with one scale.
/// @throws ValueError  for another backend, or a version other than 0
[[nodiscard]] QConfigPtr get_default_qconfig(std::string_view backend = "x86", int version = 0);
/// For training with rounding; version 1 has fused fake quantisers, version 0 plain ones.
/// @throws ValueError
[[nodiscard]] QConfigPtr get_default_qat_qconfig(std::string_view backend = "x86", int version = 1);

// PyTorch's presets under its names. Each call gives the same shared one.
[[nodiscard]] QConfigPtr default_qconfig();              ///< MinMax 0..127, weights MinMax qint8 symmetric
[[nodiscard]] QConfigPtr default_per_channel_qconfig();  ///< MinMax 0..127, weights per channel
[[nodiscard]] QConfigPtr default_qat_qconfig();          ///< version 0 of plain fake quantisers
[[nodiscard]] QConfigPtr default_qat_qconfig_v2();       ///< fused, weights with one scale
[[nodiscard]] QConfigPtr default_dynamic_qconfig();      ///< activations while running, weights with one scale
[[nodiscard]] QConfigPtr per_channel_dynamic_qconfig();
[[nodiscard]] QConfigPtr float16_dynamic_qconfig();
[[nodiscard]] QConfigPtr float16_static_qconfig();
[[nodiscard]] QConfigPtr float_qparams_weight_only_qconfig();       ///< embeddings of 8 bits
[[nodiscard]] QConfigPtr float_qparams_weight_only_qconfig_4bit();  ///< embeddings of 4 bits
[[nodiscard]] QConfigPtr default_weight_only_qconfig();
[[nodiscard]] QConfigPtr default_activation_only_qconfig();
[[nodiscard]] QConfigPtr default_symmetric_qnnpack_qconfig();
[[nodiscard]] QConfigPtr default_per_channel_symmetric_qnnpack_qconfig();
[[nodiscard]] QConfigPtr default_symmetric_qnnpack_qat_qconfig();
[[nodiscard]] QConfigPtr default_per_channel_symmetric_qnnpack_qat_qconfig();

}  // namespace coppice::nn::quant
