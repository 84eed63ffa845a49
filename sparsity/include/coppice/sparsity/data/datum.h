#pragma once
/// What can be sparsified by name, without a model.

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "coppice/engine/tensor.h"
#include "coppice/nn/module.h"

namespace coppice::sparsity {

/// A tensor, or the weight of an Embedding or EmbeddingBag: the same tensor object, not a copy. One that requires grad
/// goes on doing so; it may be the parameter of a model.
/// Source: torch/ao/pruning/_experimental/data_sparsifier/base_data_sparsifier.py, SUPPORTED_TYPES
class Datum {
 public:
  /// @throws TypeError  if it is undefined
  Datum(Tensor tensor);  // NOLINT: implicit, so that add_data("w", tensor) reads as in PyTorch
  /// @throws TypeError  for another module; StateError  if its weight is masked or parametrized: prune the original
  Datum(const nn::Module& embedding);  // NOLINT
  /// @throws TypeError  for null; and as above
  template <class Embedding>
  requires std::is_base_of_v<nn::Module, Embedding> Datum(const std::shared_ptr<Embedding>& embedding)  // NOLINT
      : Datum(checked(embedding.get())) {}

  [[nodiscard]] const Tensor& tensor() const { return tensor_; }

 private:
  [[nodiscard]] static const nn::Module& checked(const nn::Module* module);

  Tensor tensor_;
};

/// Data by name, in order.
using DataList = std::vector<std::pair<std::string, Datum>>;

}  // namespace coppice::sparsity
