#pragma once
/// Tensor: a cheap handle on a contiguous, row-major block of numbers.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "coppice/engine/dtype.h"
#include "coppice/engine/error.h"
#include "coppice/engine/qparams.h"
#include "coppice/engine/shape.h"
#include "coppice/engine/storage.h"

namespace coppice {

struct TensorImpl;

/// Handle on storage + shape + element type.
///
/// Copying the handle is cheap and shares everything; `clone()` copies the numbers. Which tensor it is (`is`) is
/// separate from which bytes it shows (`shares_storage`): a reshaped tensor is another tensor over the same bytes.
/// Methods that end in `_` write in place and raise the version of the storage. A default-made tensor is undefined: it
/// can be asked `defined()` and `is()`, assigned, printed, and left out where an operation says so; every other method
/// is a StateError, `==` too.
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(std::shared_ptr<TensorImpl> impl) : impl_(std::move(impl)) {}

  /// Uninitialised numbers; those of a quantised type need parameters.
  /// @throws LimitError  when the memory cannot be had; DtypeError  if parameters are missing or too many, and what
  ///         QParams::check() throws
  [[nodiscard]] static Tensor empty(const Shape& shape, Dtype dtype = Dtype::f32, QParamsPtr qparams = nullptr);
  /// Shows `shape` at `offset_bytes` of `storage`. @throws ValueError  if it is null, too small or not aligned there;
  ///         as empty() for the parameters
  [[nodiscard]] static Tensor over(std::shared_ptr<Storage> storage, std::size_t offset_bytes, const Shape& shape,
                                   Dtype dtype, QParamsPtr qparams = nullptr);
  /// float32 tensors from literals: of(3), of({1, 2}), of({{1, 2}, {3, 4}}).
  [[nodiscard]] static Tensor of(double value);
  [[nodiscard]] static Tensor of(std::initializer_list<double> values);
  [[nodiscard]] static Tensor of(std::initializer_list<std::initializer_list<double>> rows);
  /// A copy of `values` as `shape`, element type of T. @throws ShapeError  if the numbers of elements differ
  template <class T>
  [[nodiscard]] static Tensor from(std::span<const T> values, const Shape& shape);
  template <class T>
  [[nodiscard]] static Tensor from(const std::vector<T>& values, const Shape& shape) {
    return from(std::span<const T>(values), shape);
  }

  [[nodiscard]] bool defined() const { return impl_ != nullptr; }
  [[nodiscard]] const Shape& shape() const;
  [[nodiscard]] std::int64_t dim() const { return shape().rank(); }
  /// Size of an axis; negative counts from the end. @throws IndexError
  [[nodiscard]] std::int64_t size(std::int64_t axis) const { return shape()[axis]; }
  [[nodiscard]] std::int64_t numel() const { return shape().numel(); }
  [[nodiscard]] Dtype dtype() const;
  [[nodiscard]] std::size_t nbytes() const;
  [[nodiscard]] bool is_quantized() const { return coppice::is_quantized(dtype()); }
  /// How the integers of a quantised tensor stand for numbers; null for the other types.
  [[nodiscard]] const QParamsPtr& qparams() const;

  /// The numbers, row-major. @throws DtypeError  if T is not the element type
  template <class T>
  [[nodiscard]] std::span<const T> data() const {
    return {static_cast<const T*>(checked(dtype_of<T>)), static_cast<std::size_t>(numel())};
  }
  /// The numbers for writing; counts as one in-place change. @throws DtypeError
  template <class T>
  [[nodiscard]] std::span<T> mutable_data() {
    void* p = checked(dtype_of<T>);
    bump_version();
    return {static_cast<T*>(p), static_cast<std::size_t>(numel())};
  }
  [[nodiscard]] const std::byte* bytes() const;
  [[nodiscard]] std::byte* mutable_bytes();

  // What follows takes and gives the values of a quantised tensor, not its integers.

  /// The only element as T. @throws ShapeError  unless numel() is 1
  template <class T = double>
  [[nodiscard]] T item() const;
  /// One element converted to double. @throws IndexError
  [[nodiscard]] double at(std::initializer_list<std::int64_t> index) const;
  /// Writes one element, converted to the element type. @throws IndexError
  void set_(std::initializer_list<std::int64_t> index, double value);
  /// All elements converted to T, row-major.
  template <class T>
  [[nodiscard]] std::vector<T> to_vector() const;

  [[nodiscard]] bool is(const Tensor& other) const { return impl_ == other.impl_; }
  [[nodiscard]] bool shares_storage(const Tensor& other) const;
  [[nodiscard]] std::uint64_t version() const;
  [[nodiscard]] const std::shared_ptr<Storage>& storage() const;
  /// Position of the first element in the storage, in bytes.
  [[nodiscard]] std::size_t storage_offset() const;

  /// Own numbers, same values; differentiable.
  [[nodiscard]] Tensor clone() const;
  /// Same bytes, outside any graph, requires_grad off.
  [[nodiscard]] Tensor detach() const;
  /// Converted copy; the tensor itself when the type is the same. Differentiable between floating types.
  [[nodiscard]] Tensor to(Dtype dtype) const;
  /// Same bytes with another shape; one size may be -1. Differentiable. @throws ShapeError, also if the channels that
  /// a quantised tensor has parameters for would no longer be an axis
  [[nodiscard]] Tensor reshape(std::initializer_list<std::int64_t> sizes) const;
  [[nodiscard]] Tensor reshape(const Shape& shape) const;

  /// In place; all return the tensor itself.
  /// @throws StateError  on a leaf that requires grad, unless grad mode is off
  Tensor& fill_(double value);
  Tensor& zero_() { return fill_(0); }
  /// Values of `source`, converted to this element type. A quantised tensor takes floats with its own parameters, and
  /// integers of its own type together with theirs. @throws ShapeError  unless the shapes are equal
  Tensor& copy_(const Tensor& source);
  /// this += alpha * other, shapes equal or `other` broadcasting to this. @throws ShapeError
  Tensor& add_(const Tensor& other, double alpha = 1);
  Tensor& mul_(const Tensor& other);
  Tensor& mul_(double factor);
  /// From now on shows the bytes, shape and type of `source`; which tensor it is stays. A gradient of another shape or
  /// type is dropped. @throws StateError  on a tensor that an operation made
  Tensor& replace_(const Tensor& source);

  [[nodiscard]] bool requires_grad() const;
  /// @throws DtypeError  if the element type is not floating; StateError on a tensor that an operation made
  Tensor& requires_grad_(bool on = true);
  /// Made by the user, not by a differentiable operation. @throws StateError  on an undefined tensor, as all of these
  [[nodiscard]] bool is_leaf() const;
  /// Sum of the gradients of all backward() calls; undefined when there was none.
  [[nodiscard]] Tensor grad() const;
  void set_grad(Tensor grad);
  /// Sends gradients from this scalar to every leaf that requires grad and frees the graph.
  /// @throws ShapeError  unless numel() is 1; StateError  if the graph was freed, or an input it needs was changed
  ///         in place since the forward pass
  void backward(bool retain_graph = false) const;
  /// The same for a tensor of any shape, from `gradient` of that shape.
  void backward(const Tensor& gradient, bool retain_graph = false) const;

  [[nodiscard]] const std::shared_ptr<TensorImpl>& impl() const { return impl_; }

 private:
  [[nodiscard]] void* checked(Dtype wanted) const;
  void bump_version();

  std::shared_ptr<TensorImpl> impl_;
};

using TensorList = std::vector<Tensor>;

/// Equal shape, element type and values (NaN differs from NaN, -0 equals 0); of quantised tensors equal integers and
/// parameters. Element-wise comparison is `eq`.
/// @throws StateError  if one is undefined
[[nodiscard]] bool operator==(const Tensor& a, const Tensor& b);

/// Tolerances of a comparison: |a - b| <= atol + rtol * |b|.
struct Tolerance {
  double rtol = 0;
  double atol = 0;
  bool equal_nan = true;
};
/// torch.testing's defaults: half (1e-3, 1e-5), bfloat16 (1.6e-2, 1e-5), float32 (1.3e-6, 1e-5), float64 (1e-7, 1e-7),
/// integers exact.
[[nodiscard]] Tolerance default_tolerance(Dtype dtype);
/// Same shape and all elements within the tolerance (of a's type by default); infinities must be equal.
[[nodiscard]] bool allclose(const Tensor& a, const Tensor& b, std::optional<Tolerance> tolerance = std::nullopt);
/// Largest |a - b|; infinity where only one is NaN. @throws ShapeError
[[nodiscard]] double max_difference(const Tensor& a, const Tensor& b);

/// Values, shape and type as text; long axes are shortened to their ends.
[[nodiscard]] std::string to_string(const Tensor& tensor);
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

/// Refused: tensors are joined as a list, cat({a, b}, axis); the texts of a message do not begin with a tensor.
template <std::same_as<Tensor> T, class... Rest>
Tensor cat(const T& first, const Rest&... rest) = delete;

}  // namespace coppice
