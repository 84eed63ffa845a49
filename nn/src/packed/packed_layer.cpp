#include "coppice/nn/packed/packed_layer.h"

#include "call.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"

namespace coppice::nn {

PackedFormat packed_format_from(const Arguments& a) {
  const std::string word = a.text("format", "");
  const auto format = packed_format_from_name(word);
  if (!format || format->is_dense())
    throw ValueError(cat("[packed] format must be ", packed_format_names(packing_formats()), "; got ", quote(word)));
  return *format;
}

std::vector<std::pair<std::string, const PackedLayer*>> packed_layers(const Module& root) {
  std::vector<std::pair<std::string, const PackedLayer*>> out;
  for (const auto& [path, module] : root.named_modules())
    if (const auto* layer = dynamic_cast<const PackedLayer*>(module)) out.emplace_back(path, layer);
  return out;
}

bool PackedLayer::is_current(const PackedMatrix& matrix) const {
  const PackedMatrix::Members& members = matrix.members();
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Tensor* own = own_buffers().find(members[i].first);
    if (own == nullptr || !matrix.shows(i, *own)) return false;
  }
  return true;
}

PackedMatrix PackedLayer::weight() const {
  std::optional<PackedMatrix> last;
  {
    const std::lock_guard lock(last_.mutex);
    last = last_.matrix;
  }
  if (last && is_current(*last)) return *std::move(last);
  PackedMatrix::Members now;
  for (const std::string_view name : format_.layout().members) {
    Tensor found = find_tensor(name);
    if (!found.defined())
      throw StateError(cat("[", type_name(), "] holds no weight",
                           own_buffers().empty() ? std::string(" yet") : cat(": it has no ", quote(name))));
    now.emplace_back(name, std::move(found));
  }
  try {
    last = PackedMatrix::from_members(format_, rows_, cols_, now);
  } catch (const FormatError& e) {
    throw StateError(cat("[", type_name(), "] its buffers were changed and are no weight of ", rows_, " x ", cols_,
                         " any more: ", e.what()));
  }
  const std::lock_guard lock(last_.mutex);
  last_.matrix = last;
  return *std::move(last);
}

void PackedLayer::expect(PackedFormat format, std::int64_t rows, std::int64_t cols, bool bias) {
  format_ = format, rows_ = rows, cols_ = cols, bias_ = bias;
}

void PackedLayer::hold(const PackedMatrix& weight, const Tensor& bias) {
  const auto check_place = [&](std::string_view name) {
    if (has(name) && !own_buffers().contains(name))
      throw KeyError(cat("[register_buffer] ", type_name(), " already has ", quote(name)));
  };
  for (const auto& [name, tensor] : weight.members()) check_place(name);
  if (bias.defined()) check_place("bias");
  expect(weight.format(), weight.rows(), weight.cols(), bias.defined());
  // Handles of the layer's own: what is put in their place later is seen, and is checked.
  for (const auto& [name, tensor] : weight.members()) register_buffer(name, tensor.detach());
  if (bias.defined()) register_buffer("bias", bias.detach());
  const std::lock_guard lock(last_.mutex);
  last_.matrix = weight;
}

PackedMatrix PackedLayer::checked(const NamedTensors& own) const {
  PackedMatrix::Members members;
  Tensor bias;
  for (const auto& [name, tensor] : own) {
    if (name == "bias")
      bias = tensor;
    else
      members.emplace_back(name, tensor);
  }
  // Checks the sizes as well, which may be any numbers.
  PackedMatrix weight = PackedMatrix::from_members(format_, rows_, cols_, members);
  if (bias.defined() != bias_ || (bias_ && (bias.shape() != Shape{rows_} || bias.dtype() != Dtype::f32)))
    throw FormatError(cat("[", type_name(), "] ",
                          bias_ ? cat("needs a float32 bias (", rows_, ",)") : std::string("takes no bias"), "; got ",
                          bias.defined() ? to_string(bias.shape()) : std::string("none")));
  return weight;
}

void PackedLayer::adopt(const NamedTensors& own) {
  const Tensor* bias = own.find("bias");
  hold(checked(own), bias != nullptr ? *bias : Tensor());
}

Tensor PackedLayer::refuse_gradients(Tensor y, const Tensor& x, const Tensor& bias) const {
  if (!needs_grad({x, bias})) return y;
  return with_grad(std::move(y), {x, bias}, [layer = called_as(*this)](const Tensor&) -> GradList {
    throw StateError(cat("[backward] ", layer, " is packed and has no gradients; detach() what goes into it, run it ",
                         "under NoGrad, or train the model before it is packed"));
  });
}

}  // namespace coppice::nn
