#pragma once
/// What sparsifiers are told: which tensors, and with which settings, as keys and values.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/nn/module.h"

namespace coppice::sparsity {

/// Makes the parametrization that applies a mask, for the setting "parametrization" of weights and of data: registered
/// by name (engine/named_function.h). It holds this very tensor as its buffer "mask", as nn::FakeSparsity does.
using MaskParametrization = nn::ModulePtr(const Tensor& mask);

/// One element per tensor. "tensor_fqn" names it ("seq.0.weight"); "mask" may give the mask to begin with, of its shape
/// and of a type that leaves the tensor's as it is; "parametrization" the name of a MaskParametrization to apply it
/// with, in the place of FakeSparsity; all other keys are settings, before which the sparsifier's defaults stand back.
/// An empty list prepares nothing.
using SparsifierConfig = std::vector<Arguments>;

/// The weights of all modules below `model` whose registered type is one of `supported`, in PyTorch's order: the
/// supported children of a module first, then its other children, the last of them first. A module of a supported type
/// is not searched further, a model that is one itself gives nothing, and what stands in several places counts once.
/// Source: torch/ao/pruning/sparsifier/base_sparsifier.py, make_config_from_model
[[nodiscard]] SparsifierConfig make_config_from_model(const nn::Module& model,
                                                      const std::vector<std::string>& supported = {"Linear"});

/// A rectangle of a tensor's 2-D view [size of the first axis, all others]: for Linear output by input channels.
struct Block {
  std::int64_t rows = 1;
  std::int64_t cols = 4;
  /// "16x1". @throws ValueError  unless it is two numbers of 1 or more, whose product is a number too
  [[nodiscard]] static Block parse(std::string_view text);
  [[nodiscard]] std::int64_t size() const { return rows * cols; }
  friend bool operator==(const Block&, const Block&) = default;
};

/// "16x1", for messages.
[[nodiscard]] std::string to_string(const Block& block);

/// "sparsity_level": any number; those below 0 mean 0, those above 1 mean 1. @throws ValueError  for NaN; KeyError,
/// TypeError  as Arguments::number()
[[nodiscard]] double read_sparsity_level(const Arguments& config);
/// "sparse_block_shape": rows and columns. @throws ValueError  unless it is two integers of 1 or more, whose product is
/// one too; KeyError, TypeError
[[nodiscard]] Block read_sparse_block_shape(const Arguments& config);

}  // namespace coppice::sparsity
