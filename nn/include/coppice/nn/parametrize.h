#pragma once
/// torch.nn.utils.parametrize: a parameter or buffer that modules compute from stored originals whenever it is read.
///
/// After register_parametrization(m, "weight", p) the tensor stands as `original` in the ParametrizationList at
/// m.parametrizations.weight, the same tensor object, and m.tensor("weight") is p(original), computed on every reading.
/// Names in named_parameters() and state dicts are those of PyTorch: "parametrizations.weight.original".
/// Source: torch/nn/utils/parametrize.py

#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "coppice/nn/module.h"

namespace coppice::nn::parametrize {

/// What a tensor is computed from: one original, or several that the first parametrization takes together.
using Originals = std::variant<Tensor, TensorList>;

/// Mixed into a parametrization that can be undone: `class Double : public UnaryModule, public RightInverse`.
class RightInverse {
 public:
  virtual ~RightInverse() = default;
  /// Originals from which forward makes `value`, or something near it. Called with grad mode off.
  /// @throws NotSupported  for a parametrization that has none after all; registering tolerates that
  [[nodiscard]] virtual Originals right_inverse(const Tensor& value) const = 0;
};

/// The parametrizations of one tensor, as children "0", "1", … in the order in which they apply, and its `original`, or
/// `original0`, `original1`, … if there are several.
class ParametrizationList final : public Implements<ParametrizationList, Module> {
 public:
  static constexpr std::string_view kType = "ParametrizationList";
  /// For model files, which fill the originals.
  explicit ParametrizationList(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;

  /// What the tensor is now; differentiable with respect to the originals. Inside a Cached scope computed once.
  [[nodiscard]] Tensor value() const;
  /// One `original`, not a list of them.
  [[nodiscard]] bool is_tensor() const { return count_ == 0; }
  /// The originals in order.
  [[nodiscard]] TensorList originals() const;
  /// Number of parametrizations.
  [[nodiscard]] std::size_t size() const;
  /// Registered without the check of shapes and types.
  [[nodiscard]] bool unsafe() const { return unsafe_; }
  /// It was a buffer.
  [[nodiscard]] bool is_buffer() const { return buffer_; }

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;

 private:
  friend struct Access;
  ParametrizationList() = default;
  [[nodiscard]] Tensor compute(const TensorList& originals) const;

  std::size_t count_ = 0;  // of a list of originals; 0 for a single one
  bool unsafe_ = false;
  bool buffer_ = false;
};

/// Puts `parametrization` onto a parameter or buffer, or behind those that it has already, and gives it the module's
/// training mode. The first one's right_inverse makes the originals: a single one takes the place of the values in the
/// same tensor object; several are new parameters, which an optimiser must be told of.
/// @param unsafe  allow another shape or type: forward is not called to check them (right_inverse is)
/// @throws ValueError  if there is no such parameter or buffer, if the parametrization or its right_inverse changes
///         shape or type, or gives no tensor; KeyError  if "parametrizations" is taken; and what forward throws;
///         with nothing changed, the values included
Module& register_parametrization(Module& module, std::string_view name, ModulePtr parametrization, bool unsafe = false);

/// The tensor is a parameter (or buffer) again, last in order.
/// @param leave_parametrized  it keeps the computed values, in the same tensor object if there was one original; else
///        the original as it is
/// @throws ValueError  if it is not parametrized; if there are several originals and the values are not to be kept
Module& remove_parametrizations(Module& module, std::string_view name, bool leave_parametrized = true);

/// Whether `name` of this very module has parametrizations; for an empty name, whether any tensor has.
[[nodiscard]] bool is_parametrized(const Module& module, std::string_view name = "");

/// The list of a parametrized tensor. @throws ValueError  if it is not parametrized
[[nodiscard]] ParametrizationList& parametrizations_of(Module& module, std::string_view name);
[[nodiscard]] const ParametrizationList& parametrizations_of(const Module& module, std::string_view name);

/// The registered type: registering parametrizations does not change it here (describe() shows "ParametrizedLinear").
[[nodiscard]] std::string_view type_before_parametrizations(const Module& module);

/// Registers the parametrizations of `from` on `to`, the same modules, which then compute from the same originals. A
/// tensor that `to` lacks is made. Only `name`, or all of them. Does nothing if `from` is not parametrized.
/// @throws ValueError  if `name` is not parametrized there; and as register_parametrization()
Module& transfer_parametrizations_and_params(const Module& from, Module& to, std::string_view name = "");

/// While one lives in this thread, a parametrized tensor is computed at its first reading and then remembered, even if
/// an original changes meanwhile. Nests; the end of the outermost one forgets.
class Cached {
 public:
  Cached();
  ~Cached();
  Cached(const Cached&) = delete;
  Cached& operator=(const Cached&) = delete;
};

}  // namespace coppice::nn::parametrize
