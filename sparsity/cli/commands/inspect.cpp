#include "../packed.h"
#include "../tensors.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/masks/names.h"
#include "coppice/sparsity/prunable.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string file;
};

int run(const App& app, const Options& o) {
  interrupt_at_once();
  const Loaded loaded = load_any(app, o.file);
  const NamedTensors& tensors = loaded.tensors;
  const nn::ModulePtr& model = loaded.model;
  Table table{{"name", "dtype", "shape", "elements", "zeros", "share", "bytes"}, {}};
  Json list = Json::array();
  std::int64_t elements = 0, zeros = 0;
  for (const auto& [name, t] : tensors) {
    const std::int64_t zero = t.numel() - count_nonzero(t);
    const double share = t.numel() == 0 ? 0 : static_cast<double>(zero) / static_cast<double>(t.numel());
    elements += t.numel();
    zeros += zero;
    if (!app.json)  // of the two only what is shown: a million tensors are many lines
      table.rows.push_back({printable(name), to_string(t.dtype()), to_string(t.shape()), grouped(t.numel()),
                            grouped(zero), percent(share), grouped(static_cast<std::int64_t>(t.nbytes()))});
    else
      list.push_back({{"name", name},
                      {"dtype", to_string(t.dtype())},
                      {"shape", std::vector<std::int64_t>(t.shape().begin(), t.shape().end())},
                      {"elements", t.numel()},
                      {"zeros", zero},
                      {"bytes", t.nbytes()}});
  }
  std::int64_t file_bytes = 0;
  for (const std::string& file : files_behind(app, o.file)) file_bytes += static_cast<std::int64_t>(file_size(file));
  const bool masked = model == nullptr && !nn::masks_in(tensors).empty();
  const sparsity::WeightCount count = model != nullptr ? sparsity::count_weights(*model)
                                      : masked         ? sparsity::count_weights(tensors)
                                                       : sparsity::WeightCount();
  if (app.json) {
    Json out{{"file", o.file},
             {"model", model != nullptr},
             {"tensors", std::move(list)},
             {"elements", elements},
             {"zeros", zeros},
             {"tensor_bytes", tensors.nbytes()},
             {"file_bytes", file_bytes},
             {"metadata", tensors.metadata()},
             {"unknown_types", loaded.unknown_types},
             {"skipped", tensors.skipped()}};
    if (model != nullptr || masked) out["weights"] = count.weights, out["weight_zeros"] = count.zeros;
    if (model != nullptr) out["packed"] = packed_json(*model);
    print("coppice.inspect/1", std::move(out));
    return kDone;
  }
  const double share = elements == 0 ? 0 : static_cast<double>(zeros) / static_cast<double>(elements);
  table.rows.push_back({"total", "", "", grouped(elements), grouped(zeros), percent(share),
                        grouped(static_cast<std::int64_t>(tensors.nbytes()))});
  print(table.text());
  print(cat(o.file, ": ", tensors.size(), " tensors, ", grouped(file_bytes), " bytes, ",
            model != nullptr               ? "a model"
            : loaded.unknown_types.empty() ? "a bare checkpoint"
                                           : "a model that this program cannot build"));
  // Masks and packed layers make the tensors' own zeros say little.
  if (model != nullptr || masked)
    print(cat("weights: ", grouped(count.weights), ", ", grouped(count.zeros), " of them zero (",
              percent(count.weights == 0 ? 0 : static_cast<double>(count.zeros) / static_cast<double>(count.weights)),
              ")"));
  if (model != nullptr) {
    if (const Table packed = packed_table(*model); !packed.rows.empty()) print(packed.text());
    print(coppice::printable(model->describe()));
  }
  note_unknown_types(app, loaded);
  for (const std::string& path : tensors.skipped()) note(app, cat("left out: ", printable(path)));
  return kDone;
}

}  // namespace

void add_inspect(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "inspect",
      "Lists the tensors of a file: name, type, shape, zeros, bytes; and its modules, with how packed ones are stored.",
      "  coppice inspect weights.pt\n  coppice inspect model.safetensors --json");
  sub->add_option("FILE", o->file,
                  "A .pt, .pth, .bin, .safetensors, .npz or .npy file, an index of shards, or a model file")
      ->required();
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
