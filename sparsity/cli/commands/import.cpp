#include "../tensors.h"
#include "coppice/nn/io/model_file.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string weights, arch, output;
  bool force = false;
};

int run(const App& app, const Options& o) {
  interrupt_at_once();
  std::vector<std::string> inputs = files_behind(app, o.weights);
  inputs.push_back(o.arch);
  check_output(o.output, inputs, o.force);
  writes_safetensors(o.output);
  const Imported in = import_model(app, o.weights, o.arch);
  for (const std::string& name : in.prepared)
    note(app,
         cat("note: ", printable(name), " is the original of a parametrization, and dense: PyTorch saves no mask"));
  write_output(o.output, [&] {
    // Metadata is UTF-8; a name need not be.
    nn::save_model(*in.model, o.output,
                   {{"coppice.source", printable(std::filesystem::path(o.weights).filename().string())}});
  });
  const auto bytes = static_cast<std::int64_t>(file_size(o.output));
  if (app.json)
    print("coppice.import/1",
          {{"output", o.output}, {"tensors", in.tensors}, {"masked", in.masked}, {"file_bytes", bytes}});
  else
    print(cat(o.output, ": ", in.tensors, " tensors", in.masked > 0 ? cat(", ", in.masked, " of them masked") : "",
              ", ", grouped(bytes), " bytes"));
  return kDone;
}

}  // namespace

void add_import(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "import",
      "Makes a model file from a state dict and an architecture. Names must fit exactly; missing and unexpected ones\n"
      "are listed. Tensors pruned by PyTorch (X_orig, X_mask) keep their masks; those that its sparsifiers prepared "
      "are\n"
      "dense, since it saves no masks of these.",
      "  coppice import weights.pt --arch lenet.json -o model.safetensors\n"
      "  coppice import weights.safetensors --arch lenet.json -o model.safetensors --force");
  sub->add_option("WEIGHTS", o->weights, "State dict: .pt, .pth, .safetensors or .npz")->required();
  sub->add_option("--arch", o->arch, "Architecture in JSON, with PyTorch's argument names")->required();
  sub->add_option("-o,--output", o->output, "Model file to write")->required();
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
