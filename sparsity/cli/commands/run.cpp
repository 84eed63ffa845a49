#include <algorithm>
#include <filesystem>

#include "../data.h"
#include "../tensors.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/io/budget.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/nn/packed/packed_layer.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string model, input, output;
  std::int64_t batch = 256;
  bool force = false;
};

/// The longest axis of all tensors of the layers that make something of samples without values.
std::uint64_t widest(const nn::Module& model, bool no_samples) {
  std::int64_t most = 0;
  for (const auto& [path, module] : model.named_modules()) {
    // Where there is no sample either, an LSTM still has a state for each sequence, or a step for each time.
    if (no_samples && module->type_name() != "LSTM") continue;
    for (const auto* own : {&module->own_parameters(), &module->own_buffers()})
      for (const auto& [name, tensor] : *own)
        if (tensor.defined())
          for (const std::int64_t size : tensor.shape()) most = std::max(most, size);
    if (const auto* packed = dynamic_cast<const nn::PackedLayer*>(module))
      most = std::max(most, packed->weight().rows());
  }
  return static_cast<std::uint64_t>(most);
}

/// Samples to run at a time: --batch, unless they hold no values. Then a header of 80 bytes names any number of them,
/// and of places in each, of which a layer may make as many numbers as its longest axis.
/// @throws LimitError  if a single sample may take more than the limits allow
std::int64_t batch_of(const App& app, const Options& o, const nn::Module& model, const Tensor& x) {
  if (x.numel() > 0) return o.batch;
  constexpr std::int64_t kMany = 1 << 16;  // one by one they might be without end
  std::uint64_t need = widest(model, x.size(0) == 0) * sizeof(float);
  for (std::int64_t axis = 1; axis < x.dim(); ++axis)
    if (x.size(axis) > 0) need = checked_mul(need, static_cast<std::uint64_t>(x.size(axis))).value_or(UINT64_MAX);
  const std::uint64_t allowed = checked_add(app.read.limits.extra_bytes, file_size(o.input)).value_or(UINT64_MAX);
  if (need > allowed)
    Source{"run", o.input}.exceeded("extra_bytes", cat("memory for a sample without values, of samples ", x.shape()),
                                    allowed, need);
  const std::int64_t most = std::max(o.batch, kMany);
  return need == 0 ? most
                   : static_cast<std::int64_t>(
                         std::clamp<std::uint64_t>(allowed / need, 1, static_cast<std::uint64_t>(most)));
}

/// The model's outputs of all samples.
Tensor outputs(const App& app, const Options& o, const nn::Module& model, const Tensor& x) {
  const std::int64_t samples = x.size(0), batch = batch_of(app, o, model, x);
  NoGrad guard;
  Progress progress(app, "sample", samples);
  TensorList parts;
  std::int64_t at = 0;
  do {
    const std::int64_t n = std::min(batch, samples - at);
    Tensor y = model(narrow(x, 0, at, n));
    if (at == 0 && n > 0) {  // the first tell what all will take
      const std::uint64_t each = (y.nbytes() + static_cast<std::uint64_t>(n) - 1) / static_cast<std::uint64_t>(n);
      MemoryBudget(Source{"run", o.input}, app.read.limits, file_size(o.input))
          .take(checked_mul(each, static_cast<std::uint64_t>(samples)).value_or(UINT64_MAX),
                cat("the outputs of ", samples, " samples"));
    }
    if (x.numel() == 0 && y.numel() == 0 && n < samples) {  // nothing comes of nothing, however often
      if (y.dim() < 1 || y.size(0) != n)
        throw ShapeError(
            cat("[run] of ", n, " samples without values the model must give [", n, ", ...]; got ", y.shape()));
      std::vector<std::int64_t> sizes(y.shape().begin(), y.shape().end());
      sizes[0] = samples;
      return Tensor::empty(Shape(std::move(sizes)), y.dtype());
    }
    parts.push_back(std::move(y));
    progress.update(at += n);
  } while (at < samples);
  return cat_tensors(parts);
}

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
  if (const auto sample = sparsity::first_nan(x))
    note(app, cat("note: sample ", *sample, " of ", quote_path(o.input), " holds NaN"));
  if (const Dtype dtype = input_dtype(*model);
      is_floating(x.dtype()) && (x.dtype() == Dtype::f64 || dtype != Dtype::f32))
    x = x.to(dtype);
  Tensor y = outputs(app, o, *model, x);
  if (y.dtype() == Dtype::bf16) y = y.to(Dtype::f32);  // NumPy has no bfloat16, and float32 holds all of it
  write_output(o.output, [&] { write_npy(o.output, y); });
  if (app.json)
    print("coppice.run/1", {{"output", o.output},
                            {"samples", x.size(0)},
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
  sub->add_option("--batch", o->batch, "Samples at a time")->transform(whole(1, INT64_MAX))->capture_default_str();
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
