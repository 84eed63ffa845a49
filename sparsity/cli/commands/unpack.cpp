#include "coppice/nn/packed/unpack.h"
#include "../tensors.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/io/budget.h"
#include "coppice/engine/io/load.h"
#include "coppice/nn/io/model_file.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string model, output;
  bool force = false;
};

/// Sparse members were put together when the file was read.
int unpack_checkpoint(const App& app, const Options& o, const Loaded& input) {
  if (!input.was_compact)
    throw ValueError(cat(quote_path(o.model), " has no packed layer and no tensor that is stored without its zeros"));
  write_output(o.output, [&] { save_tensors(o.output, input.tensors, {.checksums = input.tensors.compared() > 0}); });
  const auto before = static_cast<std::int64_t>(file_size(o.model));
  const auto after = static_cast<std::int64_t>(file_size(o.output));
  if (app.json)
    print("coppice.unpack_checkpoint/1", {{"output", o.output},
                                          {"tensors", input.tensors.size()},
                                          {"file_bytes_before", before},
                                          {"file_bytes", after}});
  else
    print(cat(o.output, ": ", input.tensors.size(), " tensors, ", grouped(after), " bytes, before ", grouped(before)));
  return kDone;
}

int run(const App& app, const Options& o) {
  interrupt_at_once();
  check_output(o.output, files_behind(app, o.model), o.force);
  writes_safetensors(o.output);
  const Loaded input = load_any(app, o.model);
  if (!input.unknown_types.empty()) (void)load_model(app, o.model);  // says that it is none of ours
  if (input.model == nullptr) return unpack_checkpoint(app, o, input);
  Json list = Json::array();
  Table table{{"layer", "was", "is", "format"}, {}};
  for (const auto& [path, layer] : nn::packed_layers(*input.model)) {
    const std::string packed(layer->type_name()), type(layer->dense_type()),
        format = to_string(layer->weight().format());
    list.push_back({{"module", path}, {"packed_type", packed}, {"type", type}, {"format", format}});
    table.rows.push_back({printable(path), packed, type, format});
  }
  if (list.empty()) throw ValueError(cat(quote_path(o.model), " has no packed layer"));
  MemoryBudget budget(Source{"unpack", o.model}, app.read.limits, file_size(o.model));
  const nn::ModulePtr dense = nn::unpack(input.model, &budget);
  std::map<std::string, std::string> notes = notes_of(input.tensors);
  notes.erase("coppice.pack");
  write_output(o.output, [&] { nn::save_model(*dense, o.output, notes); });

  const auto before = static_cast<std::int64_t>(file_size(o.model));
  const auto after = static_cast<std::int64_t>(file_size(o.output));
  if (app.json) {
    print("coppice.unpack/1",
          {{"output", o.output}, {"layers", list}, {"file_bytes_before", before}, {"file_bytes", after}});
    return kDone;
  }
  print(table.text());
  print(cat(o.output, ": ", grouped(after), " bytes, before ", grouped(before)));
  return kDone;
}

}  // namespace

void add_unpack(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "unpack",
      "Puts dense layers in the place of packed ones, so that the model can be trained, pruned further or packed in\n"
      "another way. Zeros stay zeros. A checkpoint without a model gets its zeros back, bit for bit.",
      "  coppice unpack packed.safetensors -o dense.safetensors\n"
      "  coppice unpack packed.safetensors -o dense.safetensors --json");
  sub->add_option("MODEL", o->model, "Model file with packed layers, or a checkpoint that pack wrote")->required();
  sub->add_option("-o,--output", o->output, "File to write")->required();
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
