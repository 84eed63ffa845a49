#pragma once

#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/softmax.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// max(x, 0). `inplace` is accepted for PyTorch's files and changes nothing here.
class ReLU final : public Implements<ReLU> {
 public:
  static constexpr std::string_view kType = "ReLU";
  ReLU() = default;
  explicit ReLU(const Arguments& a) { (void)a.boolean("inplace", false); }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return relu(x); }
};

/// 1 / (1 + exp(-x))
class Sigmoid final : public Implements<Sigmoid> {
 public:
  static constexpr std::string_view kType = "Sigmoid";
  Sigmoid() = default;
  explicit Sigmoid(const Arguments&) {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return sigmoid(x); }
};

class Tanh final : public Implements<Tanh> {
 public:
  static constexpr std::string_view kType = "Tanh";
  Tanh() = default;
  explicit Tanh(const Arguments&) {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return tanh(x); }
};

/// x Φ(x); approximate = "none" (error function) or "tanh".
class GELU final : public Implements<GELU> {
 public:
  static constexpr std::string_view kType = "GELU";
  explicit GELU(bool tanh_form = false) : tanh_form_(tanh_form) {}
  /// @throws ValueError  for another word
  explicit GELU(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override {
    return {{"approximate", std::string(tanh_form_ ? "tanh" : "none")}};
  }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return gelu(x, tanh_form_); }

 private:
  bool tanh_form_;
};

/// exp(x) / Σ exp(x) along `dim`.
class Softmax final : public Implements<Softmax> {
 public:
  static constexpr std::string_view kType = "Softmax";
  explicit Softmax(std::int64_t dim = -1) : dim_(dim) {}
  explicit Softmax(const Arguments& a) : Softmax(a.integer("dim", -1)) {}
  [[nodiscard]] Arguments arguments() const override { return {{"dim", dim_}}; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return softmax(x, dim_); }

 private:
  std::int64_t dim_;
};

/// In training zeroes elements with probability p and scales the others by 1 / (1 - p); in eval mode the identity.
class Dropout final : public Implements<Dropout> {
 public:
  static constexpr std::string_view kType = "Dropout";
  /// @throws ValueError  unless 0 <= p <= 1
  explicit Dropout(double p = 0.5);
  explicit Dropout(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override { return {{"p", p_}}; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return training() ? dropout(x, p_) : x; }

 private:
  double p_;
};

}  // namespace coppice::nn
