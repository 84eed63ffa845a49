#pragma once

#include "coppice/nn/module.h"

namespace coppice::nn {

/// y = x Wᵀ + b.  x: [..., in] -> y: [..., out].  weight: [out, in], bias: [out].
/// Both start uniform in ±1/sqrt(in), as torch.nn.Linear.
class Linear final : public Implements<Linear> {
 public:
  static constexpr std::string_view kType = "Linear";
  /// @throws ValueError  if a size is negative
  Linear(std::int64_t in, std::int64_t out, bool bias = true);
  explicit Linear(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] std::int64_t in_features() const { return tensor("weight").size(1); }
  [[nodiscard]] std::int64_t out_features() const { return tensor("weight").size(0); }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
};

/// The input itself. Takes and ignores any arguments, as torch.nn.Identity.
class Identity final : public Implements<Identity> {
 public:
  static constexpr std::string_view kType = "Identity";
  Identity() = default;
  explicit Identity(const Arguments&) {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }
};

/// Axes start .. end joined into one. start_dim 1 and end_dim -1 keep the batch axis.
class Flatten final : public Implements<Flatten> {
 public:
  static constexpr std::string_view kType = "Flatten";
  explicit Flatten(std::int64_t start = 1, std::int64_t end = -1) : start_(start), end_(end) {}
  explicit Flatten(const Arguments& a) : Flatten(a.integer("start_dim", 1), a.integer("end_dim", -1)) {}
  [[nodiscard]] Arguments arguments() const override { return {{"start_dim", start_}, {"end_dim", end_}}; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;

 private:
  std::int64_t start_, end_;
};

}  // namespace coppice::nn
