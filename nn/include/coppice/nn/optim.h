#pragma once
/// Optimisers with PyTorch's update formulas, that keep pruned entries at zero.

#include <memory>
#include <unordered_map>

#include "coppice/engine/io/named_tensors.h"
#include "coppice/engine/tensor.h"

namespace coppice::nn {

/// Holds parameters by identity. step() uses their gradients; parameters without one are left alone.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// One update of all parameters that have a gradient, then every mask.
  /// @throws DtypeError, ShapeError  with nothing changed: for a parameter that is not float32 or float64, or whose
  /// type
  ///         or shape is another than that of its gradient or state, as after a conversion
  void step();
  void zero_grad(bool set_to_none = true);
  [[nodiscard]] double lr() const { return lr_; }
  /// @throws ValueError  if it is negative or NaN
  void set_lr(double lr);

  /// Keeps the entries of `parameter` where `mask` is 0 at +0, from now on and after every step, whatever momentum or
  /// weight decay would do. An undefined mask removes it.
  /// @param mask  shape of the parameter; 1 keeps, 0 prunes
  /// @throws KeyError  if the parameter is not held; ShapeError
  void set_mask(const Tensor& parameter, const Tensor& mask);
  [[nodiscard]] const TensorList& parameters() const { return parameters_; }

  /// What the updates so far left behind, under PyTorch's words: "0.momentum_buffer", "0.exp_avg", "0.step" … for
  /// parameter number 0; nothing for a parameter that had no update. Values share the live storage. Settings and masks
  /// are not in it.
  [[nodiscard]] NamedTensors state_dict() const;
  /// Goes on from a state of an optimiser of the same type and settings; copies the values.
  /// @throws KeyError  for a missing or unknown name; ShapeError, DtypeError  for a tensor that does not suit its
  ///         parameter; with nothing changed
  void load_state_dict(const NamedTensors& state);

 protected:
  /// @throws ValueError  for an empty list, a tensor twice, an undefined one, or a bad learning rate
  Optimizer(TensorList parameters, double lr);
  /// Updates parameter number `i`; runs with grad mode off. float32 and float64.
  virtual void update(std::size_t i, Tensor& parameter, const Tensor& gradient) = 0;
  /// Where parameter number `i` keeps its state: PyTorch's word -> tensor, undefined before the first update.
  [[nodiscard]] virtual std::vector<std::pair<std::string, Tensor*>> slots(std::size_t i) = 0;
  /// Updates that parameter number `i` had, for formulas that count them; null for others.
  [[nodiscard]] virtual std::int64_t* steps(std::size_t /*i*/) { return nullptr; }

 private:
  void check_step(std::size_t i);
  void apply_mask(std::size_t i);

  TensorList parameters_;
  std::unordered_map<const TensorImpl*, std::size_t> places_;  // in parameters_, which keeps the addresses its own
  TensorList masks_;
  double lr_;
};

struct SgdOptions {
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;
};

/// g += weight_decay p (if it is not 0);  v = momentum v + (1 - dampening) g (v = g at first);
/// g = nesterov ? g + momentum v : v;  p -= lr g. Bits as those of PyTorch on a CPU.
/// Source: torch/optim/sgd.py, _single_tensor_sgd
class SGD final : public Optimizer {
 public:
  /// @throws ValueError  for negative settings, or nesterov without momentum or with dampening
  SGD(TensorList parameters, const SgdOptions& options);

 protected:
  void update(std::size_t i, Tensor& parameter, const Tensor& gradient) override;
  [[nodiscard]] std::vector<std::pair<std::string, Tensor*>> slots(std::size_t i) override;

 private:
  SgdOptions options_;
  TensorList velocity_;
};

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  bool amsgrad = false;
};

/// m += (1 - β1) (g - m);  v = β2 v + (1 - β2) g²;  p -= lr / (1 - β1ᵗ) m / (sqrt(v) / sqrt(1 - β2ᵗ) + eps).
/// Weight decay is added to g, if it is not 0: an infinite weight without gradient stays. amsgrad divides by the
/// largest v so far, NaN being the largest. Bits of m and v as those of PyTorch on a CPU, whose square roots are not
/// always rounded correctly. Source: torch/optim/adam.py, _single_tensor_adam
class Adam : public Optimizer {
 public:
  /// @throws ValueError  for negative settings or betas outside [0, 1)
  Adam(TensorList parameters, const AdamOptions& options) : Adam(std::move(parameters), options, false) {}

 protected:
  Adam(TensorList parameters, const AdamOptions& options, bool decoupled);
  void update(std::size_t i, Tensor& parameter, const Tensor& gradient) override;
  [[nodiscard]] std::vector<std::pair<std::string, Tensor*>> slots(std::size_t i) override;
  [[nodiscard]] std::int64_t* steps(std::size_t i) override { return &steps_[i]; }

 private:
  AdamOptions options_;
  bool decoupled_;
  TensorList first_, second_, largest_;
  std::vector<std::int64_t> steps_;
};

/// Adam whose weight decay shrinks the parameter itself: p *= 1 - lr weight_decay, before the step. Its default weight
/// decay in PyTorch is 0.01; set it in the options. Source: torch.optim.AdamW
class AdamW final : public Adam {
 public:
  AdamW(TensorList parameters, const AdamOptions& options) : Adam(std::move(parameters), options, true) {}
};

}  // namespace coppice::nn
