#include "../tensors.h"
#include "coppice/engine/io/load.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/init.h"
#include "coppice/nn/io/architecture.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"
#include "coppice/nn/state_dict.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string weights, arch, output;
  bool force = false;
};

/// Attaches a mask wherever the checkpoint has X_orig and X_mask for a parameter X, so that pruning survives.
std::int64_t attach_masks(nn::Module& model, const NamedTensors& tensors) {
  std::int64_t masked = 0;
  for (const auto& [path, module] : model.named_modules()) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : module->own_parameters())
      if (tensor.defined()) names.push_back(name);
    for (const std::string& name : names) {
      const std::string full = nn::joined(path, name);
      const Tensor* mask = tensors.find(nn::mask_of(full));
      if (mask == nullptr || !tensors.contains(nn::original_of(full))) continue;
      if (mask->shape() != module->tensor(name).shape()) continue;  // load_state_dict lists it with all others
      nn::attach_mask(*module, name, *mask);
      ++masked;
    }
  }
  return masked;
}

int run(const App& app, const Options& o) {
  interrupt_at_once();
  std::vector<std::string> inputs = files_behind(app, o.weights);
  inputs.push_back(o.arch);
  check_output(o.output, inputs, o.force);
  writes_safetensors(o.output);
  app.files = {o.weights, o.arch};
  const NamedTensors tensors = load_tensors(o.weights, app.read);
  nn::ModulePtr model;
  {
    const nn::SkipInit no_random_numbers;
    model = nn::read_architecture(o.arch, app.read.limits);
  }
  const std::int64_t masked = attach_masks(*model, tensors);
  nn::load_state_dict(*model, tensors);
  write_output(o.output, [&] {
    // Metadata is UTF-8; a name need not be.
    nn::save_model(*model, o.output,
                   {{"coppice.source", printable(std::filesystem::path(o.weights).filename().string())}});
  });
  const auto bytes = static_cast<std::int64_t>(file_size(o.output));
  if (app.json)
    print("coppice.import/1",
          {{"output", o.output}, {"tensors", tensors.size()}, {"masked", masked}, {"file_bytes", bytes}});
  else
    print(cat(o.output, ": ", tensors.size(), " tensors", masked > 0 ? cat(", ", masked, " of them masked") : "", ", ",
              grouped(bytes), " bytes"));
  return kDone;
}

}  // namespace

void add_import(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "import",
      "Makes a model file from a state dict and an architecture. Names must fit exactly; missing and unexpected ones\n"
      "are listed. Tensors pruned by PyTorch (X_orig, X_mask) keep their masks.",
      "  coppice import weights.pt --arch lenet.json -o model.safetensors\n"
      "  coppice import weights.safetensors --arch lenet.json -o model.safetensors --force");
  sub->add_option("WEIGHTS", o->weights, "State dict: .pt, .pth, .safetensors or .npz")->required();
  sub->add_option("--arch", o->arch, "Architecture in JSON, with PyTorch's argument names")->required();
  sub->add_option("-o,--output", o->output, "Model file to write")->required();
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
