#pragma once
// What registering and the reader of model files may do with a ParametrizationList. Private to nn.

#include "coppice/nn/parametrize.h"

namespace coppice::nn::parametrize {

/// The child of a module that holds its lists.
inline constexpr const char* kChild = "parametrizations";
/// What a list calls a single original; several are numbered.
inline constexpr const char* kOriginal = "original";

struct Access {
  [[nodiscard]] static std::shared_ptr<ParametrizationList> make(bool buffer);
  /// What `list` would compute from these originals, with grad mode off.
  [[nodiscard]] static Tensor compute(const ParametrizationList& list, const TensorList& originals);
  /// The originals as the list's own parameters or buffers. @throws StateError  if one is masked or parametrized itself
  [[nodiscard]] static TensorList slots(const ParametrizationList& list);
  static void append(ParametrizationList& list, ModulePtr parametrization, bool unsafe);
  /// Takes these as the originals, instead of those that it has; keeps requires_grad of each.
  static void set_originals(ParametrizationList& list, const TensorList& originals, bool single);
};

/// The parametrized tensor `name` of a module as a derived tensor.
[[nodiscard]] std::shared_ptr<Derived> parametrized(std::string name);

/// What right_inverse of all parametrizations, last first, makes of `value`; those without one are skipped, or refused
/// with a StateError if `all`.
[[nodiscard]] Originals invert(const ParametrizationList& list, const Tensor& value, bool all);

}  // namespace coppice::nn::parametrize
