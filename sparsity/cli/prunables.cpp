#include "prunables.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/io/load.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"
#include "coppice/sparsity/prune/prune.h"

namespace coppice::cli {
namespace {

constexpr const char* kSlot = "tensor";

std::vector<Prunable> parameters_of(nn::Module& model) {
  std::vector<Prunable> out;
  for (const auto& [path, module] : model.named_modules())
    for (const auto& [name, tensor] : module->own_parameters()) {
      if (!tensor.defined()) continue;
      const std::string slot(nn::is_original(*module, name) ? *nn::name_of_original(name) : name);
      out.push_back({nn::joined(path, slot), module, slot});
    }
  return out;
}

}  // namespace

Prunables::Prunables(const App& app, const std::string& path) : loaded_(load_any(app, path)) {
  if (is_model()) {
    all_ = parameters_of(*loaded_.model);
    return;
  }
  NoGrad guard;
  if (is_pytorch_name(path)) loaded_.tensors.metadata().emplace("format", "pt");
  const NamedTensors& tensors = loaded_.tensors;
  for (const auto& [name, tensor] : tensors) {
    const auto of_mask = nn::name_of_mask(name), of_original = nn::name_of_original(name);
    if (of_mask && tensors.contains(nn::original_of(*of_mask))) continue;
    const Tensor* mask = of_original ? tensors.find(nn::mask_of(*of_original)) : nullptr;
    const std::string shown(mask == nullptr ? name : *of_original);
    if (mask != nullptr && tensors.contains(shown))
      throw FormatError(cat("'", path, "' holds '", printable(shown), "' beside '", printable(name), "'"));
    if (mask != nullptr && mask->shape() != tensor.shape())
      throw FormatError(cat("'", path, "': '", printable(nn::mask_of(shown)), "' has shape ", mask->shape(), " for '",
                            printable(name), "' of ", tensor.shape()));
    const auto holder = std::make_shared<nn::Identity>();
    holder->register_parameter(kSlot, tensor.detach());
    if (mask != nullptr) nn::set_mask(*holder, kSlot, *mask);
    holders_.push_back(holder);
    all_.push_back({shown, holder.get(), kSlot});
  }
}

void Prunables::save(const std::string& output, bool keep_masks, const SafetensorsWriteOptions& options) {
  NoGrad guard;
  if (!keep_masks)
    for (const Prunable& p : all_)
      if (nn::is_masked(*p.module, p.slot)) sparsity::prune::remove(*p.module, p.slot);
  if (is_model()) return nn::save_model(*loaded_.model, output, notes_of(loaded_.tensors));
  NamedTensors out;
  for (const Prunable& p : all_) {
    if (nn::is_masked(*p.module, p.slot)) {
      out.add(nn::original_of(p.name), p.module->tensor(nn::original_of(p.slot)).detach());
      out.add(nn::mask_of(p.name), p.module->tensor(nn::mask_of(p.slot)));
    } else {
      out.add(p.name, p.value());
    }
  }
  out.metadata() = loaded_.tensors.metadata();
  save_tensors(output, out, options);
}

}  // namespace coppice::cli
