#include "layers.h"

#include <algorithm>

#include "coppice/nn/layers/conv.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/packed/conv.h"
#include "coppice/nn/packed/linear.h"
#include "coppice/sparsity/prunable.h"

namespace coppice::sparsity {
namespace {

bool takes_linear(const nn::Module& m) { return dynamic_cast<const nn::Linear*>(&m) != nullptr; }

std::optional<Shape> vector_of(const nn::Module& m) { return Shape{m.tensor("weight").size(1)}; }

nn::ModulePtr pack_linear(const nn::Module& m, PackedFormat format) {
  return nn::PackedLinear::from_dense(m.tensor("weight"), m.find_tensor("bias"), format);
}

bool takes_conv(const nn::Module& m) {
  const auto* conv = dynamic_cast<const nn::Conv2d*>(&m);
  return conv != nullptr && nn::PackedConv2d::takes(conv->tensor("weight").shape(), conv->options());
}

/// An image of 64 positions.
std::optional<Shape> image_of(const nn::Module& m) {
  const Tensor w = m.tensor("weight");
  const std::vector<std::int64_t>& dilation = dynamic_cast<const nn::Conv2d&>(m).options().dilation;
  const std::int64_t height = (w.size(2) - 1) * dilation.front() + 8, width = (w.size(3) - 1) * dilation.back() + 8;
  const double values = static_cast<double>(w.size(1)) * static_cast<double>(height) * static_cast<double>(width);
  if (values > 0x1p40) return std::nullopt;
  return Shape{w.size(1), height, width};
}

nn::ModulePtr pack_conv(const nn::Module& m, PackedFormat format) {
  return nn::PackedConv2d::from_dense(m.tensor("weight"), m.find_tensor("bias"),
                                      dynamic_cast<const nn::Conv2d&>(m).options(), format);
}

constexpr PackableLayer kLayers[] = {
    {"Linear", takes_linear, vector_of, pack_linear},
    {"Conv2d", takes_conv, image_of, pack_conv},
};

}  // namespace

const PackableLayer* packable(const nn::Module& module) {
  if (!module.children().empty()) return nullptr;
  for (const PackableLayer& row : kLayers) {
    if (module.type_name() != row.type || !row.takes(module)) continue;
    const Tensor bias = module.find_tensor("bias");
    const bool single =
        module.tensor("weight").dtype() == Dtype::f32 && (!bias.defined() || bias.dtype() == Dtype::f32);
    return single ? &row : nullptr;
  }
  return nullptr;
}

std::string unpackable_because(const nn::Module& module) {
  if (dynamic_cast<const nn::PackedLayer*>(&module) != nullptr || packable(module) != nullptr) return "";
  Tensor weight;
  for (const auto& [name, tensor] : module.own_parameters())
    if (tensor.defined() && is_prunable(name, tensor)) weight = tensor;
  if (!weight.defined()) return "";
  if (!module.children().empty()) return "it holds modules of its own";
  const std::string_view type = module.type_name();
  const auto known = [&](const PackableLayer& row) { return row.type == type; };
  if (std::ranges::none_of(kLayers, known)) return cat("layers of type ", type, " have no packed form");
  if (const auto* conv = dynamic_cast<const nn::Conv2d*>(&module); conv != nullptr && conv->options().groups != 1)
    return cat("convolutions with groups have no packed form; it has ", conv->options().groups);
  if (weight.dtype() != Dtype::f32) return cat("its weight is ", weight.dtype(), "; packed layers are float32");
  for (const auto& [name, tensor] : module.own_parameters())
    if (tensor.defined() && tensor.dtype() != Dtype::f32)
      return cat("its ", name, " is ", tensor.dtype(), "; packed layers are float32");
  return "its sizes have no packed form";
}

}  // namespace coppice::sparsity
