#pragma once
/// The parameters of a model as data of a data sparsifier: what the callbacks for data share.

#include <iosfwd>
#include <string>
#include <string_view>

#include "coppice/engine/ordered_map.h"
#include "coppice/nn/module.h"
#include "coppice/sparsity/data/base_data_sparsifier.h"
#include "coppice/sparsity/prunable.h"

namespace coppice::sparsity {

/// The name of a parameter as that of a datum, which must have no dot: "seq_0_weight" for "seq.0.weight".
/// Source: torch/ao/pruning/_experimental/data_sparsifier/lightning/callbacks/_data_sparstity_utils.py
[[nodiscard]] std::string valid_name(std::string_view parameter);

/// Which parameters become data, biases among them: all of them, unless a filter chooses by name and values. A tensor
/// that stands in two places is one, under its first name. Masked ones are the originals behind their masks.
/// @return  the name of each as a datum, and the tensor
/// @throws ValueError  for two parameters of one name as data, which would replace each other
[[nodiscard]] OrderedMap<Tensor> data_of(const nn::Module& model, const WeightFilter& select = {});

/// Adds data_of(model, select); those that are there already are replaced, keep their masks and settings, and are
/// warned of.
/// @param config  further settings of a datum, by its name
/// @throws ValueError  as data_of(); and as BaseDataSparsifier::add_data; with nothing added or replaced
void attach_model(BaseDataSparsifier& sparsifier, const nn::Module& model, const WeightFilter& select = {},
                  const OrderedMap<Arguments>& config = {});

/// Zeros in the mask of each datum, as a line "Sparsity in layer seq_0_weight = 50.00%".
void log_sparsified_level(std::ostream& log, const BaseDataSparsifier& sparsifier);

}  // namespace coppice::sparsity
