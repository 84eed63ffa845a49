#pragma once
/// What a data sparsifier knows, as data.

#include <cstdint>

#include "coppice/engine/arguments.h"
#include "coppice/engine/io/named_tensors.h"
#include "coppice/engine/ordered_map.h"
#include "coppice/engine/sparse/coo.h"

namespace coppice::sparsity {

/// A snapshot: later steps and changes of the data do not reach it. The three parts are those of PyTorch's dict; what
/// PyTorch leaves out stands in the rest.
/// Source: base_data_sparsifier.py, state_dict
struct DataSparsifierState {
  /// Of one datum: its mask, and what the class of the sparsifier keeps beside it.
  struct Entry {
    CooTensor mask;
    Arguments more;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  OrderedMap<Entry> state;
  OrderedMap<Arguments> data_groups;  ///< the settings of each datum
  /// Original data as "parametrizations.NAME.original", squashed ones as "NAME".
  NamedTensors container;

  bool enable_mask_update = true;
  Arguments settings;  ///< of the class, common to all data: "norm"
};

}  // namespace coppice::sparsity
