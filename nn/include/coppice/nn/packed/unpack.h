#pragma once
/// Packed layers as the dense ones that they were.

#include "coppice/engine/io/budget.h"
#include "coppice/nn/packed/packed_layer.h"

namespace coppice::nn {

/// The dense layer of the same type, settings and values; float32. Subnormal values of the original are 0.
/// @param budget  of the memory for the dense weight, which a few packed bytes may describe; null: no bound
/// @param path    what messages call the layer
/// @throws LimitError  if the budget is too small
[[nodiscard]] ModulePtr unpacked_layer(const PackedLayer& layer, MemoryBudget* budget = nullptr,
                                       std::string_view path = "");

/// Puts dense layers in the place of all packed ones. The model can be trained then.
/// @return  `model`, or the dense layer if it is a packed one itself
/// @throws LimitError  as above, with nothing changed
[[nodiscard]] ModulePtr unpack(const ModulePtr& model, MemoryBudget* budget = nullptr);

}  // namespace coppice::nn
