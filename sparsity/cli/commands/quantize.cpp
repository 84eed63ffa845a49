#include "../data.h"
#include "../tensors.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/io/npy.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/quant/whole_model.h"
#include "coppice/sparsity/training/dataset.h"

#include <cmath>

namespace coppice::cli {
namespace {

struct Options {
  std::string model, output, data, qconfig = "x86";
  std::int64_t batch = 256;
  bool dynamic = false, force = false;
};

/// The inputs to calibrate on; undefined if none are given.
Tensor inputs_of(const App& app, const Options& o, const nn::Module& model) {
  if (o.data.empty()) return {};
  if (o.data == "digits") return load_data(app, o.data, Split::train, model).x;
  app.files.push_back(o.data);
  const Tensor x = read_npy(o.data, app.read);
  if (x.dim() < 1 || x.numel() == 0)
    throw ShapeError(cat(quote_path(o.data), " must hold samples [n, ...]; got ", x.shape()));
  if (const auto sample = sparsity::first_nan(x))
    throw ValueError(cat("sample ", *sample, " of ", quote_path(o.data), " holds NaN"));
  return x;
}

Json decibels_json(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

int run(const App& app, const Options& o) {
  interrupt_at_once();
  std::vector<std::string> inputs = files_behind(app, o.model);
  if (!o.data.empty() && o.data != "digits") inputs.push_back(o.data);
  check_output(o.output, inputs, o.force);
  writes_safetensors(o.output);
  if (o.data.empty() && !o.dynamic)
    throw UsageError("--data is needed: activations are quantised with the range that they have on it (or --dynamic)");
  const Loaded input = load_model(app, o.model);
  const Tensor x = inputs_of(app, o, *input.model);
  const QEngine engine = qengine_from_name(o.qconfig);
  const nn::quant::QuantizedModel q = o.dynamic ? nn::quant::quantize_model_dynamic(input.model, x, o.batch, engine)
                                                : nn::quant::quantize_model(input.model, x, o.batch, engine);
  write_output(o.output, [&] { nn::save_model(*q.model, o.output, notes_of(input.tensors)); });

  const auto before = static_cast<std::int64_t>(file_size(o.model));
  const auto after = static_cast<std::int64_t>(file_size(o.output));
  if (app.json) {
    Json layers = Json::array();
    for (const nn::quant::QuantizedLayer& l : q.layers)
      layers.push_back({{"module", l.path},
                        {"type", l.type},
                        {"scale", o.dynamic ? Json(nullptr) : Json(l.scale)},
                        {"zero_point", o.dynamic ? Json(nullptr) : Json(l.zero_point)},
                        {"signal_to_noise_db", x.defined() ? decibels_json(l.signal_to_noise) : Json(nullptr)},
                        {"bytes_before", l.bytes_before},
                        {"bytes", l.bytes}});
    print("coppice.quantize/1", {{"output", o.output},
                                 {"qconfig", o.qconfig},
                                 {"dynamic", o.dynamic},
                                 {"layers", layers},
                                 {"file_bytes_before", before},
                                 {"file_bytes", after}});
    return kDone;
  }
  Table table{{"layer", "type", "scale", "zero point", "signal / noise", "bytes", "before"}, {}};
  for (const nn::quant::QuantizedLayer& l : q.layers)
    table.rows.push_back(
        {printable(l.path), l.type, o.dynamic ? "-" : fixed(l.scale, 6), o.dynamic ? "-" : cat(l.zero_point),
         x.defined() ? cat(fixed(l.signal_to_noise, 1), " dB") : "-", grouped(l.bytes), grouped(l.bytes_before)});
  print(table.text());
  print(cat(o.output, ": ", grouped(after), " bytes, before ", grouped(before)));
  return kDone;
}

}  // namespace

void add_quantize(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "quantize",
      "Makes an int8 model: puts stubs around it, fuses Conv, batch norm and ReLU, Linear and ReLU, sees the range of\n"
      "activations on data, and converts. Zeros stay zeros; weights are read through masks of either kind.",
      "  coppice quantize model.safetensors -o int8.safetensors --data X.npy\n"
      "  coppice quantize pruned.safetensors -o int8.safetensors --dynamic");
  sub->add_option("MODEL", o->model, "Model file")->required();
  sub->add_option("-o,--output", o->output, "File to write")->required();
  sub->add_option("--data", o->data, "Inputs to calibrate on: X.npy, [n, ...], or \"digits\" (built in)");
  sub->add_option("--qconfig", o->qconfig, "Observers and arithmetic as PyTorch's engine of that name has them")
      ->check(CLI::IsMember({"x86", "fbgemm", "qnnpack", "onednn"}))
      ->capture_default_str();
  sub->add_option("--batch", o->batch, "Samples of a forward pass")
      ->transform(whole(1, INT64_MAX))
      ->capture_default_str();
  sub->add_flag(
      "--dynamic", o->dynamic,
      "Quantise the weights of Linear layers alone, and activations at each call; with --data the error is told");
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
