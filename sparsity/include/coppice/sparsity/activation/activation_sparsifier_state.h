#pragma once
/// What an activation sparsifier knows, as data.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "coppice/engine/arguments.h"
#include "coppice/engine/io/limits.h"
#include "coppice/engine/ordered_map.h"
#include "coppice/engine/sparse/coo.h"
#include "coppice/sparsity/activation/functions.h"

namespace coppice::sparsity {

/// How the inputs of a layer become a mask, under PyTorch's names. What is not set is taken from the defaults.
struct ActivationOptions {
  std::optional<AggregateFunction> aggregate_fn = std::nullopt;
  std::optional<ReduceFunction> reduce_fn = std::nullopt;
  std::optional<MaskFunction> mask_fn = std::nullopt;
  /// Positions along feature_dim that have masks of their own, one each; without them the input has one as a whole.
  std::optional<std::vector<std::int64_t>> features = std::nullopt;
  std::optional<std::int64_t> feature_dim = std::nullopt;  ///< negative counts from the end
  Arguments sparse_config = {};                            ///< the settings of mask_fn

  friend bool operator==(const ActivationOptions&, const ActivationOptions&) = default;
};

/// What a layer's hook does.
enum class HookState : std::uint8_t { none, aggregate, sparsify };
/// PyTorch's word: "None", "aggregate", "sparsify".
[[nodiscard]] std::string to_string(HookState state);

/// A snapshot, of the three parts of PyTorch's dict.
struct ActivationSparsifierState {
  /// Nothing before the first input; a list where there are features.
  using Mask = std::variant<std::monostate, CooTensor, std::vector<CooTensor>>;
  struct Group {
    ActivationOptions options;
    HookState hook_state = HookState::none;
    /// What the aggregator has of the inputs since the last step, one list for the input or for each feature.
    std::optional<std::vector<TensorList>> data;

    friend bool operator==(const Group&, const Group&) = default;
  };
  OrderedMap<Mask> state;
  OrderedMap<Group> data_groups;
  ActivationOptions defaults;
};

/// What to_arguments() does with functions that have no name.
enum class UnnamedFunctions : std::uint8_t { refuse, leave_open };

/// The state as arguments, which files hold (sparsity/state_file.h): functions by their names, masks with one bit per
/// entry where all are 0 and 1.
/// @throws StateError  for a function without a name, telling whose, unless it may be left open: then whoever reads the
///         state must resolve it; KeyError  for a layer without an entry for a mask
[[nodiscard]] Arguments to_arguments(const ActivationSparsifierState& state,
                                     UnnamedFunctions unnamed = UnnamedFunctions::refuse);

/// A function that a state does not bring along.
struct MissingFunction {
  bool of_defaults = false;  ///< else of a layer
  std::string layer;         ///< its path
  std::string role;          ///< "aggregate_fn", "reduce_fn" or "mask_fn"
  std::string name;          ///< that nobody registered; "" where it was left open
};
/// Gives it, of the kind that the role asks for, or nothing.
using FunctionResolver =
    std::function<std::optional<std::variant<AggregateFunction, ReduceFunction, MaskFunction>>(const MissingFunction&)>;

/// The reverse, for the state of a file of a stranger's: load_state_dict() checks what stands in it.
/// @param limits   extra_bytes: memory for masks beyond the bytes of all tensors in `arguments`
/// @param resolve  is asked for functions that are not registered, or were left open
/// @throws FormatError  for what is missing, unknown or of another kind, functions that nobody gives among it;
///         LimitError
[[nodiscard]] ActivationSparsifierState activation_sparsifier_state(const Arguments& arguments,
                                                                    const Limits& limits = {},
                                                                    const FunctionResolver& resolve = {});

}  // namespace coppice::sparsity
