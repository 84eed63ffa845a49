#include <filesystem>

#include "../tensors.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/ops/shape_ops.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string model, input, output;
  std::int64_t batch = 256;
  bool force = false;
};

int run(const App& app, const Options& o) {
  interrupt_at_once();
  std::vector<std::string> inputs = files_behind(app, o.model);
  inputs.push_back(o.input);
  check_output(o.output, inputs, o.force);
  if (std::filesystem::path(o.output).extension() != ".npy")
    throw UsageError(cat("'", o.output, "' would be an .npy file; give it that ending"));
  const nn::ModulePtr model = load_model_file(app, o.model);
  app.files.push_back(o.input);
  Tensor x = read_npy(o.input, app.read);
  if (x.dim() < 1) throw ShapeError(cat("'", o.input, "' must be [n, ...]; got ", x.shape()));
  if (x.dtype() == Dtype::f64) x = x.to(Dtype::f32);
  NoGrad guard;
  TensorList parts;
  Progress progress(app, "sample", x.size(0));
  // Samples without a value cost nothing together, but one by one they might be without end.
  const std::int64_t batch = x.numel() == 0 ? std::max<std::int64_t>(x.size(0), 1) : o.batch;
  for (std::int64_t at = 0; at < x.size(0) || at == 0; at += std::min(batch, x.size(0) - at)) {
    const std::int64_t n = std::min(batch, x.size(0) - at);
    parts.push_back((*model)(narrow(x, 0, at, n)));
    progress.update(at + n);
    if (x.size(0) == 0) break;
  }
  const Tensor y = cat_tensors(parts);
  write_output(o.output, [&] { write_npy(o.output, y); });
  if (app.json)
    print("coppice.run/1", {{"output", o.output}, {"samples", x.size(0)},
                            {"shape", std::vector<std::int64_t>(y.shape().begin(), y.shape().end())}});
  else
    print(cat(o.output, ": ", y.dtype(), " ", y.shape()));
  return kDone;
}

}  // namespace

void add_run(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command("run", "Runs a model, packed or not, on an array of samples.",
                              "  coppice run packed.safetensors images.npy -o logits.npy\n"
                              "  coppice run model.safetensors images.npy -o logits.npy --batch 1 --threads 1");
  sub->add_option("MODEL", o->model, "Model file")->required();
  sub->add_option("INPUT", o->input, "Samples: .npy, [n, ...] as the model takes them")->required();
  sub->add_option("-o,--output", o->output, ".npy file to write")->required();
  sub->add_option("--batch", o->batch, "Samples at a time")->check(CLI::PositiveNumber)->capture_default_str();
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
