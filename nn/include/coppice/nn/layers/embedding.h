#pragma once

#include <optional>

#include "coppice/engine/ops/embedding.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// Rows of weight [n, d] by index. Starts normal (0, 1); the row of `padding_idx` starts at 0 and gets no gradient.
class Embedding final : public Implements<Embedding> {
 public:
  static constexpr std::string_view kType = "Embedding";
  /// @throws ValueError  if padding_idx is outside -n .. n - 1
  Embedding(std::int64_t n, std::int64_t d, std::optional<std::int64_t> padding_idx = std::nullopt);
  explicit Embedding(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;

 protected:
  [[nodiscard]] Tensor forward(const Tensor& index) const override;

 private:
  std::optional<std::int64_t> padding_idx_;
};

/// Sum, mean or maximum of the rows of each bag. Inputs: index [k] and offsets [bags], or index [bags, size] alone.
class EmbeddingBag final : public Implements<EmbeddingBag, Module> {
 public:
  static constexpr std::string_view kType = "EmbeddingBag";
  EmbeddingBag(std::int64_t n, std::int64_t d, BagMode mode = BagMode::mean,
               std::optional<std::int64_t> padding_idx = std::nullopt);
  explicit EmbeddingBag(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;

 private:
  BagMode mode_;
  std::optional<std::int64_t> padding_idx_;
};

}  // namespace coppice::nn
