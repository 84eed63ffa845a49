#include "prunables.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/io/load.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/linear.h"
#include "coppice/nn/masked.h"
#include "coppice/sparsity/prune/prune.h"

namespace coppice::cli {
namespace {

constexpr const char* kSlot = "tensor";

std::vector<Prunable> parameters_of(nn::Module& model) {
  std::vector<Prunable> out;
  for (const auto& [path, module] : model.named_modules())
    for (const auto& [name, tensor] : module->own_parameters()) {
      if (!tensor.defined()) continue;
      const std::string base = name.ends_with("_orig") ? name.substr(0, name.size() - 5) : name;
      const std::string slot = nn::is_masked(*module, base) ? base : name;
      out.push_back({path.empty() ? slot : path + "." + slot, module, slot});
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
    const std::string base = name.substr(0, name.size() - std::min<std::size_t>(name.size(), 5));  // without the suffix
    if (name.ends_with("_mask") && tensors.contains(base + "_orig")) continue;
    const Tensor* mask = name.ends_with("_orig") ? tensors.find(base + "_mask") : nullptr;
    const std::string shown = mask == nullptr ? name : base;
    if (mask != nullptr && tensors.contains(base))
      throw FormatError(cat("'", path, "' holds '", printable(base), "' beside '", printable(name), "'"));
    if (mask != nullptr && mask->shape() != tensor.shape())
      throw FormatError(cat("'", path, "': '", printable(base), "_mask' has shape ", mask->shape(), " for '",
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
      out.add(p.name + "_orig", p.module->tensor(p.slot + "_orig").detach());
      out.add(p.name + "_mask", p.module->tensor(p.slot + "_mask"));
    } else {
      out.add(p.name, p.value());
    }
  }
  out.metadata() = loaded_.tensors.metadata();
  save_tensors(output, out, options);
}

}  // namespace coppice::cli
