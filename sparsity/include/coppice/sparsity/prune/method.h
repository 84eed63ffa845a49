#pragma once
/// The base of all pruning methods, and the list of those that model files know by name.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "coppice/nn/masks/masked.h"

namespace coppice::sparsity::prune {

/// Which entries a repeated pruning looks at: those whose mask is 1, slices with any mask left, or all.
enum class PruningType { unstructured, structured, global };

/// How a mask follows from scores. Immutable and shared: a masked parameter keeps the methods that made its mask.
///
/// A method of one's own derives from this and writes compute_mask; the other functions have defaults.
/// Source: torch/nn/utils/prune.py, BasePruningMethod
class Method : public nn::MaskOrigin {
 public:
  /// The name that model files hold; register_method() makes it known.
  [[nodiscard]] virtual std::string_view type_name() const { return "Method"; }
  [[nodiscard]] virtual PruningType pruning_type() const { return PruningType::unstructured; }
  /// The axis of a structured method.
  [[nodiscard]] virtual std::optional<std::int64_t> dim() const { return std::nullopt; }
  /// The settings, for model files: what the registered function gets back.
  [[nodiscard]] virtual nn::Arguments arguments() const { return {}; }

  /// The new mask. Called with grad mode off.
  /// @param scores        what ranks; any shape
  /// @param default_mask  the mask so far, of the same shape; must not be written to
  [[nodiscard]] virtual Tensor compute_mask(const Tensor& scores, const Tensor& default_mask) const = 0;

  /// The mask where there was none: compute_mask(scores, ones of `dtype`). Methods that know a shorter way override it.
  [[nodiscard]] virtual Tensor first_mask(const Tensor& scores, Dtype dtype) const;

  /// t * mask, without any module; does not leave out what `default_mask` has pruned already.
  /// @param default_mask  ones if undefined
  /// @param scores        `t` if undefined
  /// @throws ShapeError  if the shapes of `t`, the scores and the mask differ
  [[nodiscard]] Tensor prune(const Tensor& t, const Tensor& default_mask = {}, const Tensor& scores = {}) const;

  /// The tensor a method is meant for: apply() and containers refuse one for another. "" fits all.
  [[nodiscard]] const std::string& tensor_name() const { return tensor_name_; }
  void set_tensor_name(std::string name) { tensor_name_ = std::move(name); }

  /// A copy, to which apply() gives the name of its tensor. Null: the method cannot be copied, and where it is given by
  /// pointer it stays as it is, without a name.
  [[nodiscard]] virtual std::shared_ptr<Method> copy() const { return nullptr; }

  [[nodiscard]] std::vector<nn::MaskStep> steps() const override;

 private:
  std::string tensor_name_;
};
using MethodPtr = std::shared_ptr<const Method>;

/// Makes a method from the arguments of a model file.
using MethodFactory = std::function<MethodPtr(const nn::Arguments&)>;

/// Makes methods of this type name readable from model files; replaces an earlier registration. Thread-safe.
/// @throws ValueError  if the name or the function is empty
void register_method(std::string type_name, MethodFactory factory);

/// A method from a step of a file. A type that nobody registered becomes a method that keeps the step and cannot
/// compute (StateError). @throws  what the registered function throws for bad arguments
[[nodiscard]] MethodPtr make_method(const nn::MaskStep& step);

}  // namespace coppice::sparsity::prune
