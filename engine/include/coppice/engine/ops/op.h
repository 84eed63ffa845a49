#pragma once
/// The scope in which an operation runs: it names the operation for its gradient and for whoever listens.

#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/op_table.h"

namespace coppice {

/// Hears of every outermost operation that its thread finishes while it lives; what an operation is made of stays
/// silent, and so does one that throws. Methods that write in place are not heard, nor are their parts. The newest of
/// several hears alone. A recorder of graphs or a profile is one.
///
/// To be destroyed on the thread that made it, not by an operation that runs. Exceptions of on_op() reach who called.
class OpListener {
 public:
  OpListener();
  virtual ~OpListener();
  OpListener(const OpListener&) = delete;
  OpListener& operator=(const OpListener&) = delete;
  /// @param row     what find_op() knows, or that of a product with a packed weight, which no data can name
  /// @param inputs  as the row names them; undefined ones are those left out
  virtual void on_op(const OpRow& row, const TensorList& inputs, const Arguments& attributes,
                     const TensorList& outputs) = 0;

 private:
  friend class OpScope;
  friend class Unheard;
  OpListener* before_;
  int depth_ = 0;  // scopes open
};

namespace detail {
// Plain thread-local: read by every operation, so that an access must not go through a function that makes it.
extern constinit thread_local OpListener* op_listener;
extern constinit thread_local const OpRow* running_op;  // the outermost one
[[nodiscard]] bool wants_grad(std::span<const std::reference_wrapper<const Tensor>> inputs);
[[nodiscard]] bool wants_grad(std::span<const Tensor> inputs);
/// with_grad() that names the operation; the caller has found that a gradient is needed.
[[nodiscard]] TensorList attach(TensorList ys, const TensorList& inputs,
                                std::function<GradList(const GradList&)> backward, const OpRow* row,
                                Arguments attributes);
}  // namespace detail

/// The inputs or results of a call: `{x, weight}` without copies of the handles, or a list. Lives as long as the call
/// that it is written in, and is not to be kept in a variable.
class OpTensors {
 public:
  OpTensors(std::initializer_list<std::reference_wrapper<const Tensor>> few)  // NOLINT: implicit, to be written {x, w}
      : few_(few.begin(), few.size()) {}
  OpTensors(const TensorList& many) : many_(many) {}  // NOLINT: likewise
  /// Those of an array that outlives it.
  explicit OpTensors(std::span<const std::reference_wrapper<const Tensor>> few) : few_(few) {}

  [[nodiscard]] bool need_grad() const { return few_.empty() ? detail::wants_grad(many_) : detail::wants_grad(few_); }
  [[nodiscard]] TensorList list() const {
    return few_.empty() ? TensorList(many_.begin(), many_.end()) : TensorList(few_.begin(), few_.end());
  }

 private:
  std::span<const std::reference_wrapper<const Tensor>> few_;
  std::span<const Tensor> many_;
};

/// Keeps the operations of its thread from listeners, for the time it lives: parts of something that is none itself.
class Unheard {
 public:
  Unheard() : listener_(detail::op_listener) {
    if (listener_ != nullptr) ++listener_->depth_;
  }
  ~Unheard() {
    if (listener_ != nullptr) --listener_->depth_;
  }
  Unheard(const Unheard&) = delete;
  Unheard& operator=(const Unheard&) = delete;

 private:
  OpListener* listener_;
};

/// What Op has in common for all attributes.
class OpScope {
 public:
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;

 protected:
  explicit OpScope(const OpRow& row) : row_(row), listener_(detail::op_listener) {
    if (listener_ != nullptr) [[unlikely]]
      heard_ = listener_->depth_++ == 0;
    outermost_ = detail::running_op == nullptr;
    if (outermost_) detail::running_op = &row;
  }
  ~OpScope() {
    if (outermost_) detail::running_op = nullptr;
    if (listener_ != nullptr) [[unlikely]]
      --listener_->depth_;
  }
  void tell(const OpTensors& inputs, const Arguments& attributes, const TensorList& outputs) const {
    listener_->on_op(row_, inputs.list(), attributes, outputs);
  }

  const OpRow& row_;
  OpListener* listener_;
  bool heard_ = false;
  bool outermost_;
};

/// One call of the operation `row`, for the time it lives:
///
///     const Op op(kSoftmaxRow, [&](Arguments& a) { a.set("dim", axis); });
///     Tensor y = …;
///     return op.with_grad(y, {x}, [&] { return [s = Saved(y)](const Tensor& dy) { return GradList{…}; }; });
///
/// The attributes are written only for a listener or a gradient, and `make` runs only when a gradient is needed: then
/// its result becomes the backward function of with_grad(), under the name of the row. Cost otherwise: reads of two
/// thread-local variables to open and close the scope, and for the outermost one writes of one of them, and the
/// question whether a gradient is needed, which every operation asks; bench/op_bench measures both.
template <class Attributes>
class Op : private OpScope {
 public:
  explicit Op(const OpRow& row, Attributes attributes) : OpScope(row), attributes_(std::move(attributes)) {}

  /// An operation without gradient, or one whose parts have theirs: passes `y` on.
  [[nodiscard]] Tensor result(Tensor y, const OpTensors& inputs) const {
    if (heard_) [[unlikely]]
      tell(inputs, written(), {y});
    return y;
  }
  /// The same for several results.
  void results(const OpTensors& ys, const OpTensors& inputs) const {
    if (heard_) [[unlikely]]
      tell(inputs, written(), ys.list());
  }

  /// @param make  () -> backward, as with_grad() takes it
  template <std::invocable Make>
  [[nodiscard]] Tensor with_grad(Tensor y, const OpTensors& inputs, Make make) const {
    if (inputs.need_grad())
      y = detail::attach(
          {std::move(y)}, inputs.list(), [f = make()](const GradList& dys) -> GradList { return f(dys[0]); }, &row_,
          written())[0];
    return result(std::move(y), inputs);
  }
  template <std::invocable Make>
  [[nodiscard]] TensorList with_grad(TensorList ys, const OpTensors& inputs, Make make) const {
    if (inputs.need_grad()) ys = detail::attach(std::move(ys), inputs.list(), make(), &row_, written());
    results(ys, inputs);
    return ys;
  }

 private:
  [[nodiscard]] Arguments written() const {
    Arguments a;
    attributes_(a);
    return a;
  }
  Attributes attributes_;
};

namespace detail {
struct NoAttributes {
  void operator()(Arguments&) const {}
};
}  // namespace detail

/// An operation without attributes.
template <>
class Op<void> : public Op<detail::NoAttributes> {
 public:
  explicit Op(const OpRow& row) : Op<detail::NoAttributes>(row, {}) {}
};
Op(const OpRow&)->Op<void>;

/// The operation that made a tensor, as far as its gradient knows it.
struct GradFn {
  const OpRow* op;  ///< nullptr if it came from with_grad() itself
  Arguments attributes;
};

/// PyTorch's grad_fn: nothing for leaves and for tensors that do not require grad. Of a composed operation it is the
/// last part with a gradient of its own: mean() ends in "mul".
[[nodiscard]] std::optional<GradFn> grad_fn(const Tensor& t);

}  // namespace coppice
