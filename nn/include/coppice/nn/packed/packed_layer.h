#pragma once
/// What packed layers share: a matrix in a packed format, held as buffers.

#include <optional>

#include "coppice/engine/sparse/packed_matrix.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// A layer whose weight is a PackedMatrix. Its members stand as buffers of the module (so that state dicts and files
/// hold them) and are run in place. The bias, if there is one, is a buffer too: packed layers do not train.
class PackedLayer : public UnaryModule, public AdoptsTensors {
 public:
  /// @throws StateError  before adopt() brought the values
  [[nodiscard]] const PackedMatrix& weight() const;
  /// The weight as the dense tensor that was packed. Subnormal values have become 0.
  [[nodiscard]] virtual Tensor unpacked() const = 0;
  void adopt(const NamedTensors& own) override;

 protected:
  void hold(PackedMatrix weight, const Tensor& bias);
  /// Without values yet: adopt() brings them.
  void expect(PackedFormat format, std::int64_t rows, std::int64_t cols, bool bias);

 private:
  std::optional<PackedMatrix> weight_;
  PackedFormat format_ = PackedFormat::csr;
  std::int64_t rows_ = 0, cols_ = 0;
  bool bias_ = false;
};

/// @throws ValueError  listing the words
[[nodiscard]] PackedFormat packed_format_from(const Arguments& a);

}  // namespace coppice::nn
