#pragma once

#include "coppice/nn/module.h"

namespace coppice::nn {

/// Settings of torch.nn.LSTM.
struct LstmSettings {
  std::int64_t input_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 1;
  bool bias = true;
  bool batch_first = false;
  double dropout = 0;  ///< between layers, in training
  bool bidirectional = false;
  std::int64_t proj_size = 0;
};

/// Long short-term memory. Inputs: x [t, n, in] ([n, t, in] if batch_first, or [t, in] without batch), and optionally
/// h0 [layers * directions, n, R] and c0 [.., n, H]. Outputs: the sequence [t, n, directions * R], h_n and c_n.
/// R = proj_size or H. Tensors per layer l and direction (suffix "" or "_reverse"): weight_ih_l0 [4H, in],
/// weight_hh_l0 [4H, R], bias_ih_l0, bias_hh_l0 [4H], weight_hr_l0 [R, H]; all uniform in ±1/sqrt(H).
///
/// in, H and R are read off weight_ih_l0 and weight_hr_l0 as they are now; all other tensors must suit them at the
/// call.
/// @throws ShapeError  naming the tensor that does not
class LSTM final : public Implements<LSTM, Module> {
 public:
  static constexpr std::string_view kType = "LSTM";
  /// @throws ValueError  for sizes below 1, more than 1000 layers, proj_size outside 0 .. hidden_size - 1, dropout
  /// outside 0..1
  explicit LSTM(const LstmSettings& settings);
  explicit LSTM(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  /// With the sizes of now.
  [[nodiscard]] LstmSettings settings() const;
  /// The names of all weights and biases in the order above, which pruning does not change: torch's
  /// `_flat_weights_names`.
  [[nodiscard]] const std::vector<std::string>& flat_weights_names() const { return names_; }
  /// The tensors of these names as they are now: of a pruned weight the masked values, which are no parameter.
  [[nodiscard]] TensorList flat_weights() const;

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;

 private:
  struct Run;
  struct Weights;
  [[nodiscard]] Weights weights() const;
  /// The settings with the sizes that these two tensors have.
  [[nodiscard]] LstmSettings sized(const Tensor& weight_ih, const Tensor& weight_hr) const;
  void check_sizes(const Weights& own, const LstmSettings& s) const;
  [[nodiscard]] Run run(const Tensor& x, const Tensor& h0, const Tensor& c0, const Weights& own,
                        const LstmSettings& s) const;

  LstmSettings settings_;  // as it was made
  std::vector<std::string> names_;
};

/// The last time step of a sequence: [t, n, f] -> [n, f] ([n, t, f] if batch_first, the default). Further inputs, such
/// as an LSTM's h_n and c_n, are dropped, so that it can follow an LSTM in a Sequential.
class LastStep final : public Implements<LastStep, Module> {
 public:
  static constexpr std::string_view kType = "LastStep";
  explicit LastStep(bool batch_first = true) : batch_first_(batch_first) {}
  explicit LastStep(const Arguments& a) : LastStep(a.boolean("batch_first", true)) {}
  [[nodiscard]] Arguments arguments() const override { return {{"batch_first", batch_first_}}; }

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;

 private:
  bool batch_first_;
};

}  // namespace coppice::nn
