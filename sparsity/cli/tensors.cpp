#include "tensors.h"

#include <filesystem>

#include "coppice/engine/autograd.h"
#include "coppice/engine/io/load.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masked.h"
#include "coppice/sparsity/training/finetune.h"

namespace coppice::cli {

Loaded load_any(const App& app, const std::string& path) {
  Loaded out;
  out.tensors = load_tensors(path, app.read);
  if (nn::is_model(out.tensors)) out.model = nn::model_from_tensors(out.tensors, path);
  return out;
}

nn::ModulePtr load_model_file(const App& app, const std::string& path) {
  Loaded loaded = load_any(app, path);
  if (loaded.model == nullptr)
    throw FormatError(cat("'", path, "' holds tensors but no model; make one with: coppice import ", path,
                          " --arch ARCH.json -o MODEL.safetensors"));
  return loaded.model;
}

bool matches(const std::string& glob, const std::string& text) {
  std::size_t g = 0, t = 0, star = std::string::npos, retry = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      retry = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g, ++t;
    } else if (star != std::string::npos) {  // let the last star take one more character
      g = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

void NameFilter::add_options(CLI::App* sub) {
  sub->add_option("--include", include,
                  "Tensors to take, by a pattern with * and ? (repeatable; default: floating tensors of two or more "
                  "axes whose last name component starts with \"weight\")");
  sub->add_option("--exclude", exclude, "Tensors to leave out (repeatable)");
}

bool NameFilter::takes(const std::string& name, const Tensor& tensor) const {
  const auto any = [&](const std::vector<std::string>& globs) {
    for (const std::string& glob : globs)
      if (matches(glob, name)) return true;
    return false;
  };
  if (any(exclude)) return false;
  return include.empty() ? sparsity::is_prunable(name, tensor) : is_floating(tensor.dtype()) && any(include);
}

void NameFilter::check_patterns(const std::vector<std::string>& names) const {
  for (const auto* list : {&include, &exclude})
    for (const std::string& glob : *list) {
      bool hit = false;
      for (const std::string& name : names) hit = hit || matches(glob, name);
      if (!hit) throw FormatError(cat("the pattern '", glob, "' matches no tensor"));
    }
}

NamedTensors fold_masks(const NamedTensors& tensors) {
  NoGrad guard;
  NamedTensors out;
  for (const auto& [name, tensor] : tensors) {
    const std::string base = name.substr(0, name.size() - std::min<std::size_t>(name.size(), 5));  // without the suffix
    if (name.ends_with("_mask") && tensors.contains(base + "_orig")) continue;
    const Tensor* mask = name.ends_with("_orig") ? tensors.find(base + "_mask") : nullptr;
    if (mask == nullptr) out.add(name, tensor);
    else out.add(base, nn::apply_mask(tensor, *mask));
  }
  out.metadata() = tensors.metadata();
  return out;
}

std::uint64_t file_size(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace coppice::cli
