#pragma once
/// The three functions that make a mask of what reaches a layer, by name or a program's own.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/engine/arguments.h"
#include "coppice/engine/tensor.h"

namespace coppice::sparsity {

/// Condenses inputs one by one. It has no state of its own: what it has seen is a list of tensors, which states keep.
class Aggregator {
 public:
  virtual ~Aggregator() = default;
  /// Before the first input, which `x` is. It must not show the bytes of x.
  [[nodiscard]] virtual TensorList begin(const Tensor& x) const = 0;
  [[nodiscard]] virtual TensorList add(const TensorList& state, const Tensor& x) const = 0;
  [[nodiscard]] virtual Tensor value(const TensorList& state) const = 0;
};

/// How functions are registered (register_function, engine/named_function.h) to be aggregate, reduce or mask functions.
using AggregateSignature = Tensor(const Tensor& so_far, const Tensor& x);  ///< begins with zeros, as in PyTorch
using AggregatorSignature = std::shared_ptr<const Aggregator>();           ///< begins as it says
using ReduceSignature = Tensor(const Tensor& aggregate);
using MaskSignature = Tensor(const Tensor& reduced, const Arguments& sparse_config);

/// A function with the name under which it is registered; without one it is usable, and stays out of files.
template <class Held>
class ActivationFunction {
 public:
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Equal if both names are; without names, if they are copies of one another.
  friend bool operator==(const ActivationFunction& a, const ActivationFunction& b) {
    return a.name_ == b.name_ && (!a.name_.empty() || a.held_ == b.held_);
  }

 protected:
  ActivationFunction(std::string name, std::shared_ptr<const Held> held)
      : name_(std::move(name)), held_(std::move(held)) {}
  [[nodiscard]] const Held& held() const { return *held_; }

 private:
  std::string name_;
  std::shared_ptr<const Held> held_;
};

/// The built-in ones: coppice.sum, coppice.abs_sum, coppice.max (no clipping at zero), coppice.mean and
/// coppice.abs_mean (which count).
class AggregateFunction : public ActivationFunction<Aggregator> {
 public:
  /// @throws KeyError  if nothing has that name; TypeError  if it is something else
  AggregateFunction(std::string_view name);  // NOLINT: implicit, so that options read as in PyTorch
  AggregateFunction(const char* name) : AggregateFunction(std::string_view(name)) {}  // NOLINT
  /// @throws ValueError  for an empty function; null
  AggregateFunction(std::function<AggregateSignature> function);    // NOLINT
  AggregateFunction(std::shared_ptr<const Aggregator> aggregator);  // NOLINT
  [[nodiscard]] const Aggregator& operator*() const { return held(); }
  [[nodiscard]] const Aggregator* operator->() const { return &held(); }
};

/// coppice.identity; over axis 0: coppice.mean_dim0, coppice.sum_dim0, coppice.abs_mean_dim0.
class ReduceFunction : public ActivationFunction<std::function<ReduceSignature>> {
 public:
  /// @throws as above
  ReduceFunction(std::string_view name);                                        // NOLINT
  ReduceFunction(const char* name) : ReduceFunction(std::string_view(name)) {}  // NOLINT
  ReduceFunction(std::function<ReduceSignature> function);                      // NOLINT
  [[nodiscard]] Tensor operator()(const Tensor& aggregate) const { return held()(aggregate); }
};

/// 1 keeps, 0 prunes. coppice.magnitude (sparsity_level, 0.5 unless given): zeros at the lowest |x|, as many as
/// level * elements rounded half to even, the lower index of equal ones first; coppice.threshold (threshold): zeros
/// where |x| is below it; coppice.top_k (k): ones at the k largest |x|; coppice.ones. NaN counts as large.
class MaskFunction : public ActivationFunction<std::function<MaskSignature>> {
 public:
  /// @throws as above
  MaskFunction(std::string_view name);                                      // NOLINT
  MaskFunction(const char* name) : MaskFunction(std::string_view(name)) {}  // NOLINT
  MaskFunction(std::function<MaskSignature> function);                      // NOLINT
  /// @throws TypeError  for settings that a registered function has not declared; KeyError  for one that it needs and
  ///         that is missing. Functions that declare nothing find out when they are called.
  void check(const Arguments& sparse_config) const;
  /// @throws TypeError  if the function has not read every setting, or gives no tensor; and what it throws
  [[nodiscard]] Tensor operator()(const Tensor& reduced, const Arguments& sparse_config) const;
};

/// Registers a mask function with its settings: their defaults, or nothing for those that must be given.
/// @throws as register_function
void register_mask_function(std::string_view name, std::function<MaskSignature> function, const Arguments& parameters);

/// Registers the built-in ones; what looks functions up by name in this library has done so.
void register_activation_functions();

}  // namespace coppice::sparsity
