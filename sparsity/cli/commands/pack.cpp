#include "coppice/sparsity/pack/pack.h"

#include "../data.h"
#include "../tensors.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/io/npy.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/packed/packed_layer.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string model, output, input;
  std::vector<std::int64_t> shape;
  bool no_measure = false, force = false;
  const CLI::Option* shape_option = nullptr;
};

/// An input from which the sizes inside convolutions are learnt, if one was named.
Tensor example_of(const App& app, const Options& o) {
  if (!o.input.empty()) {
    app.files.push_back(o.input);
    const Tensor example = read_npy(o.input, app.read);
    if (example.numel() == 0)  // its header alone says how many samples they are
      throw ShapeError(cat("[pack] the input in ", quote_path(o.input), " must hold values; got ", example.shape()));
    return example;
  }
  return o.shape.empty() ? Tensor() : zeros(shape_option(o.shape));
}

int run(const App& app, const Options& o) {
  interrupt_at_once();
  if (!o.shape.empty()) (void)shape_option(o.shape);
  if (o.no_measure) only_with(*o.shape_option, "measuring (not --no-measure)");
  std::vector<std::string> inputs = files_behind(app, o.model);
  inputs.push_back(o.input);
  check_output(o.output, inputs, o.force);
  writes_safetensors(o.output);
  const Loaded input = load_model(app, o.model);
  sparsity::PackOptions options;
  options.measure = !o.no_measure;
  const sparsity::Packed packed = sparsity::pack(*input.model, options, example_of(app, o));
  if (packed.decisions.empty())
    throw ValueError(cat("'", o.model, "' has no dense Linear or Conv2d that could be packed",
                         nn::packed_layers(*input.model).empty() ? "" : ": its layers are packed already"));
  std::map<std::string, std::string> notes = notes_of(input.tensors);
  notes["coppice.pack"] = sparsity::decisions_to_json(packed.decisions);
  write_output(o.output, [&] { nn::save_model(*packed.model, o.output, notes); });

  const auto before = static_cast<std::int64_t>(file_size(o.model));
  const auto after = static_cast<std::int64_t>(file_size(o.output));
  if (app.json) {
    print("coppice.pack/1", {{"output", o.output},
                             {"layers", Json::parse(sparsity::decisions_to_json(packed.decisions))},
                             {"file_bytes_before", before},
                             {"file_bytes", after}});
    return kDone;
  }
  Table table{{"layer", "type", "zeros", "chosen"}, {}};
  for (const auto& d : packed.decisions) {
    const double zeros = d.elements == 0 ? 0 : 1 - static_cast<double>(d.nonzeros) / static_cast<double>(d.elements);
    table.rows.push_back({printable(d.path), printable(d.type), percent(zeros), to_string(d.chosen)});
  }
  print(table.text());
  for (const auto& d : packed.decisions) print(cat("  ", printable(d.path), ": ", printable(d.reason)));
  print(cat(o.output, ": ", grouped(after), " bytes, ",
            fixed(static_cast<double>(before) / static_cast<double>(after), 1), " times smaller than ", o.model));
  return kDone;
}

}  // namespace

void add_pack(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub =
      app.command("pack",
                  "Chooses storage and kernel for every Linear and Conv2d by exact bytes and measured time, says what "
                  "it chose and\n"
                  "why, and writes a model file that runs in place. Masks are burned in.",
                  "  coppice pack sparse.safetensors -o packed.safetensors\n"
                  "  coppice pack sparse.safetensors -o packed.safetensors --shape 1,3,224,224 --no-measure");
  sub->add_option("MODEL", o->model, "Model file")->required();
  sub->add_option("-o,--output", o->output, "Model file to write")->required();
  o->shape_option =
      sub->add_option("--shape", o->shape, "Shape of an input, batch first, to time convolutions at their real size")
          ->delimiter(',')
          ->transform(whole(0, INT64_MAX));
  sub->add_option("--input", o->input, "The same from an .npy file")->excludes("--shape");
  sub->add_flag("--no-measure", o->no_measure, "Choose by bytes alone: the same result on every machine");
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
