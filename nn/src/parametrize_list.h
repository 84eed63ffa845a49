#pragma once
// What registering and the reader of model files may do with a ParametrizationList. Private to nn.

#include "coppice/nn/parametrize.h"

namespace coppice::nn::parametrize {

/// The child of a module that holds its lists.
inline constexpr const char* kChild = "parametrizations";

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

/// Tensors of a file's modules that lists stand for now, with what was in their place.
struct Attached {
  const Module* module;
  std::string path;  ///< of the tensor
  std::string name;
  Shape shape;
  Dtype dtype;
};

/// Makes derived tensors of what the lists below `module` stand for, after a file brought modules and lists.
/// @throws FormatError  naming `source`, also for a layer as a parametrization: the product of two small tensors may
/// fill
///         any memory. FakeSparsity, activations and types that the program registered may stand there.
std::vector<Attached> attach_parametrizations(Module& root, const std::string& source);

/// Why `list` cannot stand in a file for a tensor of this shape and type; empty if it can. It must give the shape, and
/// floating numbers where those belong. What was registered as unsafe need not, unless it is of this library's types
/// alone: those change neither, so that a file which says otherwise lies.
/// @param compute  where only the program's own types know, ask them; otherwise believe them
[[nodiscard]] std::string misfit(const ParametrizationList& list, const Shape& shape, Dtype dtype, bool compute);

/// Checks that every one suits what it stands for, as misfit() says. Computes only what the program's own types
/// compute.
/// @throws FormatError
void check_parametrizations(const std::vector<Attached>& all, const std::string& source);

}  // namespace coppice::nn::parametrize
