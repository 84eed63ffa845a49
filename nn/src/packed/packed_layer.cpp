#include "coppice/nn/packed/packed_layer.h"

#include "coppice/engine/checked.h"
namespace coppice::nn {

PackedFormat packed_format_from(const Arguments& a) {
  const std::string word = a.text("format", "");
  const auto format = packed_format_from_name(word);
  if (!format || *format == PackedFormat::dense)
    throw ValueError(cat("[packed] format must be csr, bitmask, block4, block8 or block16; got ", quote(word)));
  return *format;
}

const PackedMatrix& PackedLayer::weight() const {
  if (!weight_) throw StateError(cat("[", type_name(), "] holds no weight yet"));
  return *weight_;
}

void PackedLayer::expect(PackedFormat format, std::int64_t rows, std::int64_t cols, bool bias) {
  format_ = format, rows_ = rows, cols_ = cols, bias_ = bias;
}

void PackedLayer::hold(PackedMatrix weight, const Tensor& bias) {
  expect(weight.format(), weight.rows(), weight.cols(), bias.defined());
  for (const auto& [name, tensor] : weight.members()) register_buffer(name, tensor);
  if (bias.defined()) register_buffer("bias", bias.detach());
  weight_ = std::move(weight);
}

void PackedLayer::adopt(const NamedTensors& own) {
  const std::string where = cat("[", type_name(), "] ");
  PackedMatrix::Members members;
  Tensor bias;
  for (const auto& [name, tensor] : own) {
    if (name == "bias") bias = tensor;
    else members.emplace_back(name, tensor);
  }
  // Checks the sizes as well, which may be any numbers.
  PackedMatrix weight = PackedMatrix::from_members(format_, rows_, cols_, members);
  if (bias.defined() != bias_ || (bias_ && (bias.shape() != Shape{rows_} || bias.dtype() != Dtype::f32)))
    throw FormatError(cat(where, bias_ ? cat("needs a float32 bias (", rows_, ",)") : std::string("takes no bias"),
                          "; got ", bias.defined() ? to_string(bias.shape()) : std::string("none")));
  hold(std::move(weight), bias);
}

}  // namespace coppice::nn
