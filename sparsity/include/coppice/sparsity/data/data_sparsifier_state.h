#pragma once
/// What a data sparsifier knows, as data.

#include <cstdint>

#include "coppice/engine/arguments.h"
#include "coppice/engine/io/limits.h"
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

/// The state as arguments, which files hold (sparsity/state_file.h): masks with one bit per entry where all are 0
/// and 1.
/// @throws KeyError  for a name without settings or data
[[nodiscard]] Arguments to_arguments(const DataSparsifierState& state);
/// The reverse, for the state of a file of a stranger's: load_state_dict() checks what stands in it.
/// @param limits  extra_bytes: memory for masks beyond the bytes of all tensors in `arguments`
/// @throws FormatError  for what is missing, unknown or of another kind; LimitError
[[nodiscard]] DataSparsifierState data_sparsifier_state(const Arguments& arguments, const Limits& limits = {});

}  // namespace coppice::sparsity
