#pragma once
/// What packed layers share: a matrix in a packed format, held as buffers.

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coppice/engine/autograd.h"
#include "coppice/engine/sparse/packed_matrix.h"
#include "coppice/nn/adopts_tensors.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// A layer whose weight is packed. The members of the matrix are buffers of the module: state dicts, files, clones and
/// conversions see the weight that is run, in place. The bias, if there is one, is a buffer too: packed layers do not
/// train. They run in any grad mode; a backward() that arrives at one is a StateError that names it. Layers behind one
/// still train; of packed layers alone there is no graph, which backward() says.
///
/// Whatever is written to the buffers or put in their place is checked before the next use, by every rule of the
/// format; load_state_dict() and load_model() check before anything changes.
class PackedLayer : public UnaryModule, public AdoptsTensors {
 public:
  /// The buffers as they are now, seen as a matrix. Costs a comparison if nothing changed since the last call, else a
  /// pass over the numbers of rows and columns.
  /// @throws StateError  before adopt() brought the values, and if the buffers are no matrix of this format and size
  [[nodiscard]] PackedMatrix weight() const;
  /// Registered name of the layer that this one stands for; it takes the same arguments but "format".
  [[nodiscard]] virtual std::string_view dense_type() const = 0;
  /// The weight as the dense tensor that was packed. Subnormal values have become 0.
  [[nodiscard]] virtual Tensor unpacked() const = 0;
  void adopt(const NamedTensors& own) override;
  void check_adoptable(const NamedTensors& own) const override { (void)checked(own); }

 protected:
  void hold(const PackedMatrix& weight, const Tensor& bias);
  /// Without values yet: adopt() brings them.
  void expect(PackedFormat format, std::int64_t rows, std::int64_t cols, bool bias);
  /// What `compute` makes of x with the weight and the bias of this layer, outside any graph.
  template <class F>
  [[nodiscard]] Tensor infer(const Tensor& x, F compute) const {
    const Tensor bias = find_tensor("bias");
    Tensor y;
    {
      const NoGrad inference;
      y = compute(weight(), bias);
    }
    return refuse_gradients(std::move(y), x, bias);
  }

 private:
  /// The matrix that was checked last. A copy of the layer has buffers of its own and looks for itself.
  struct Last {
    std::mutex mutex;
    std::optional<PackedMatrix> matrix;
    Last() = default;
    Last(const Last&) {}
    Last& operator=(const Last&) = delete;
  };
  [[nodiscard]] bool is_current(const PackedMatrix& matrix) const;
  [[nodiscard]] PackedMatrix checked(const NamedTensors& own) const;
  [[nodiscard]] Tensor refuse_gradients(Tensor y, const Tensor& x, const Tensor& bias) const;

  PackedFormat format_;
  std::int64_t rows_ = 0, cols_ = 0;
  bool bias_ = false;
  mutable Last last_;
};

/// The packed layers of a tree with their paths, in the order of the modules.
[[nodiscard]] std::vector<std::pair<std::string, const PackedLayer*>> packed_layers(const Module& root);

/// @throws ValueError  listing the words
[[nodiscard]] PackedFormat packed_format_from(const Arguments& a);

}  // namespace coppice::nn
