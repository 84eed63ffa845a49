#include "coppice/sparsity/pack/pack.h"

#include <algorithm>

#include "../app/command_line.h"
#include "../data.h"
#include "../tensors.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/io/atomic_file.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/npy.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/packed/packed_layer.h"
#include "coppice/sparsity/pack/sparse_members.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string model, output, input;
  std::vector<std::int64_t> shape;
  bool no_measure = false, force = false;
  const CLI::Option *shape_option = nullptr, *input_option = nullptr, *no_measure_option = nullptr;
};

/// Of all files that it stands in.
std::uint64_t size_of_input(const App& app, const std::string& path) {
  std::uint64_t sum = 0;
  for (const std::string& file : files_behind(app, path)) sum += file_size(file);
  return sum;
}

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

std::string nothing_to_pack(const std::string& path, const nn::Module& model, const sparsity::Packed& packed) {
  // Layers of other types and kinds follow, each with its reason.
  std::string out =
      cat(quote_path(path), packed.not_packed.empty() ? " has no dense Linear or Conv2d that could be packed"
                                                      : " has no layer that can be packed");
  if (!nn::packed_layers(model).empty()) out += ": its layers are packed already";
  for (const sparsity::NotPacked& n : packed.not_packed)
    out += cat('\n', quote(n.path), " (", printable(n.type), "): ", printable(n.reason));
  return out;
}

/// Writes the packed model, with as much about the decisions as there is room for: the file is never larger than the
/// input. Where packing gains nothing the input's bytes are written. @return  whether they were
bool save(const sparsity::Packed& packed, const Loaded& input, const Options& o, const ReadOptions& read) {
  const std::uint64_t before = file_size(o.model);
  std::vector<sparsity::PackDecision> brief = packed.decisions;
  for (sparsity::PackDecision& d : brief) d.candidates.clear();
  bool as_it_was = false;
  write_output(o.output, [&] {
    std::map<std::string, std::string> notes = notes_of(input.tensors);
    for (const std::string& note :
         {sparsity::decisions_to_json(packed.decisions), sparsity::decisions_to_json(brief), std::string()}) {
      notes.erase("coppice.pack");
      if (!note.empty()) notes["coppice.pack"] = note;
      nn::save_model(*packed.model, o.output, notes);
      if (file_size(o.output) <= before) return;
    }
    write_file(o.output, MappedFile::open(o.model, Source{"pack", o.model}, read)->bytes());
    as_it_was = true;
  });
  return as_it_was;
}

void report(const App& app, const Options& o, const sparsity::Packed& packed, bool as_it_was) {
  const auto before = static_cast<std::int64_t>(file_size(o.model));
  const auto after = static_cast<std::int64_t>(file_size(o.output));
  if (app.json) {
    Json not_packed = Json::array();
    for (const sparsity::NotPacked& n : packed.not_packed)
      not_packed.push_back({{"module", n.path}, {"type", n.type}, {"reason", n.reason}});
    return print("coppice.pack/1", {{"output", o.output},
                                    {"layers", Json::parse(sparsity::decisions_to_json(packed.decisions))},
                                    {"not_packed", not_packed},
                                    {"as_it_was", as_it_was},
                                    {"file_bytes_before", before},
                                    {"file_bytes", after}});
  }
  Table table{{"layer", "type", "zeros", "chosen"}, {}};
  for (const auto& d : packed.decisions) {
    const double zeros = d.elements == 0 ? 0 : 1 - static_cast<double>(d.nonzeros) / static_cast<double>(d.elements);
    table.rows.push_back({printable(d.path), printable(d.type), percent(zeros), to_string(d.chosen)});
  }
  print(table.text());
  for (const auto& d : packed.decisions) print(cat("  ", printable(d.path), ": ", printable(d.reason)));
  if (std::ranges::any_of(packed.decisions, &sparsity::PackDecision::stays_masked))
    note(app,
         cat("note: masks as bits are the smaller file, and no faster than dense; packed layers come of products: ",
             "coppice prune ", shell_quoted(o.model), " -o PRODUCT.safetensors --amount 0"));
  for (const sparsity::NotPacked& n : packed.not_packed)
    print(cat("not packed: ", printable(n.path), " (", printable(n.type), "): ", printable(n.reason)));
  if (as_it_was)
    print(cat(o.output, ": ", grouped(after), " bytes, a copy of ", o.model, ": packed it would be larger"));
  else if (std::ranges::all_of(packed.decisions, [](const auto& d) { return d.chosen.is_dense(); }))
    print(cat(o.output, ": ", grouped(after), " bytes: no layer of ", o.model, " is packed"));
  else
    print(cat(o.output, ": ", grouped(after), " bytes, ",
              fixed(static_cast<double>(before) / static_cast<double>(after), 1), " times smaller than ", o.model));
}

void report(const App& app, const Options& o, const std::vector<sparsity::StoredTensor>& rows, bool as_it_was) {
  const auto before = static_cast<std::int64_t>(size_of_input(app, o.model));
  const auto after = static_cast<std::int64_t>(file_size(o.output));
  if (app.json) {
    Json list = Json::array();
    for (const sparsity::StoredTensor& r : rows)
      list.push_back({{"name", r.name},
                      {"elements", r.elements},
                      {"zeros", r.zeros},
                      {"bytes_before", r.bytes_before},
                      {"bytes", r.bytes},
                      {"sparse", r.sparse}});
    return print("coppice.pack_checkpoint/1", {{"output", o.output},
                                               {"tensors", list},
                                               {"as_it_was", as_it_was},
                                               {"file_bytes_before", before},
                                               {"file_bytes", after}});
  }
  Table table{{"tensor", "zeros", "bytes", "before"}, {}};
  for (const sparsity::StoredTensor& r : rows) {
    const double zeros = r.elements == 0 ? 0 : static_cast<double>(r.zeros) / static_cast<double>(r.elements);
    table.rows.push_back({printable(r.name), percent(zeros), grouped(static_cast<std::int64_t>(r.bytes)),
                          grouped(static_cast<std::int64_t>(r.bytes_before))});
  }
  print(table.text());
  if (as_it_was)
    print(cat(o.output, ": ", grouped(after), " bytes, a copy of ", o.model, ": no tensor becomes smaller"));
  else
    print(cat(o.output, ": ", grouped(after), " bytes, ",
              percent(static_cast<double>(after) / static_cast<double>(before)), " of ", o.model,
              "; `coppice unpack` brings every bit back"));
}

/// Tensors without a model: zeros are left out of the file.
int pack_checkpoint(const App& app, const Options& o, const NamedTensors& tensors) {
  for (const CLI::Option* option : {o.shape_option, o.input_option, o.no_measure_option})
    only_with(*option, "model files");
  std::vector<sparsity::StoredTensor> rows;
  const NamedTensors stored = sparsity::compact(tensors, &rows);
  SafetensorsWriteOptions options;
  options.checksums = tensors.compared() > 0;
  options.tied = true;
  const bool larger = safetensors_bytes(stored, options) > size_of_input(app, o.model);
  const bool same_format = std::filesystem::path(o.model).extension() == ".safetensors";
  const bool as_it_was = same_format && (larger || !sparsity::is_compact(stored));
  if (larger && !same_format) throw ValueError(cat(quote_path(o.model), " has no zeros that make it smaller"));
  write_output(o.output, [&] {
    if (as_it_was)
      write_file(o.output, MappedFile::open(o.model, Source{"pack", o.model}, app.read)->bytes());
    else
      write_safetensors(o.output, stored, options);
  });
  const std::uint64_t beyond = tensors.nbytes() - std::min(tensors.nbytes(), stored.nbytes());
  if (!as_it_was && beyond > Limits{}.extra_bytes)
    note(app, cat("note: whoever reads it needs --limit-extra-bytes ", beyond));
  for (const std::string& what : tensors.skipped()) note(app, cat("left out: ", printable(what)));
  report(app, o, rows, as_it_was);
  return kDone;
}

int run(const App& app, const Options& o) {
  interrupt_at_once();
  if (!o.shape.empty()) (void)shape_option(o.shape);
  if (o.no_measure) only_with(*o.shape_option, "measuring (not --no-measure)");
  std::vector<std::string> inputs = files_behind(app, o.model);
  inputs.push_back(o.input);
  check_output(o.output, inputs, o.force);
  writes_safetensors(o.output);
  const Loaded input = load_any(app, o.model);
  if (!input.unknown_types.empty()) (void)load_model(app, o.model);  // says that it is none of ours
  if (input.model == nullptr) return pack_checkpoint(app, o, input.tensors);
  sparsity::PackOptions options;
  options.measure = !o.no_measure;
  options.masks_compete = true;
  const sparsity::Packed packed = sparsity::pack(*input.model, options, example_of(app, o));
  if (packed.decisions.empty()) throw ValueError(nothing_to_pack(o.model, *input.model, packed));
  const bool as_it_was = save(packed, input, o, app.read);
  report(app, o, packed, as_it_was);
  return kDone;
}

}  // namespace

void add_pack(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "pack",
      "Chooses storage and kernel for every Linear and Conv2d by exact bytes and measured time, says what "
      "it chose and\n"
      "why, and writes a model file that runs in place. Layers without a packed form are named and stay as "
      "they are,\n"
      "with their masks. The file is never larger than the input. Of a checkpoint without a model it leaves "
      "the zeros\n"
      "out of the file; all commands read that, and unpack brings every bit back.",
      "  coppice pack sparse.safetensors -o packed.safetensors\n"
      "  coppice pack sparse.safetensors -o packed.safetensors --shape 1,3,224,224 --no-measure");
  sub->add_option("MODEL", o->model, "Model file, or a checkpoint of any kind")->required();
  sub->add_option("-o,--output", o->output, "Model file to write")->required();
  o->shape_option =
      sub->add_option("--shape", o->shape, "Shape of an input, batch first, to time convolutions at their real size")
          ->delimiter(',')
          ->transform(whole(0, INT64_MAX));
  o->input_option = sub->add_option("--input", o->input, "The same from an .npy file")->excludes("--shape");
  o->no_measure_option =
      sub->add_flag("--no-measure", o->no_measure, "Choose by bytes alone: the same result on every machine");
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
