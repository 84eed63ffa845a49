#include <fstream>
#include <span>

#include "../tensors.h"
#include "coppice/engine/io/load.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masked.h"
#include "coppice/nn/packed/packed_layer.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string file, against;
};

/// Reads every byte of every tensor, so that a damaged disk shows here.
void touch(const NamedTensors& tensors) {
  volatile std::uint64_t sink = 0;  // or the compiler would leave the reading out
  for (const auto& [name, t] : tensors) {
    std::uint64_t sum = 0;
    for (const std::byte b : std::span(t.bytes(), t.nbytes())) sum += static_cast<std::uint64_t>(b);
    sink = sink + sum;
  }
}

/// One line for each rule that held; the loader has thrown where one did not.
std::vector<std::string> checks(const App& app, const Options& o, const NamedTensors& tensors,
                                const nn::ModulePtr& model) {
  std::ifstream file(o.file, std::ios::binary);
  char first[2] = {};
  file.read(first, 2);
  const bool zip = first[0] == 'P' && first[1] == 'K';
  const std::size_t shards = files_behind(app, o.file).size() - 1;
  std::vector<std::string> out;
  if (zip) out.emplace_back("directory and members of the zip archive agree, and their checksums hold");
  else if (shards > 0)
    out.push_back(cat("the index names ", shards, shards == 1 ? " shard" : " shards",
                      ", each tensor stands in its shard and in no other, and the tensors of each cover its data "
                      "without overlap, hole or rest"));
  else out.emplace_back("sizes and offsets fit the length of the file");
  out.push_back(cat("names, element types and shapes of ", tensors.size(), " tensors are sound"));
  out.push_back(cat("all ", grouped(static_cast<std::int64_t>(tensors.nbytes())), " bytes of values can be read"));
  if (model == nullptr) return out;
  std::size_t masks = 0, packed = 0;
  for (const auto& [path, module] : model->named_modules())
    packed += dynamic_cast<const nn::PackedLayer*>(module) != nullptr ? 1 : 0;
  masks = nn::masked_slots(*model).size();
  out.push_back(cat("the tensors fit the ", model->named_modules().size(), " modules of the model, by name and shape"));
  if (masks > 0) out.push_back(cat(masks, " masks have the shape of their tensors"));
  if (packed > 0) out.push_back(cat("indices of ", packed, " packed layers are in range and in order"));
  return out;
}

int run(const App& app, const Options& o) {
  interrupt_at_once();
  ReadOptions options = app.read;
  options.verify = true;
  const NamedTensors tensors = load_tensors(o.file, options);
  nn::ModulePtr model;
  if (nn::is_model(tensors)) model = nn::model_from_tensors(tensors, o.file, app.read.limits);
  touch(tensors);
  const std::vector<std::string> held = checks(app, o, tensors, model);

  std::vector<std::string> differences;
  if (!o.against.empty()) {
    const NamedTensors other = load_tensors(o.against, options);
    for (const auto& [name, t] : tensors) {
      const Tensor* twin = other.find(name);
      if (twin == nullptr) differences.push_back(cat("'", printable(name), "' is only in ", o.file));
      else if (t.shape() != twin->shape() || t.dtype() != twin->dtype() ||
               !std::equal(t.bytes(), t.bytes() + t.nbytes(), twin->bytes()))
        differences.push_back(cat("'", printable(name), "' differs"));
    }
    for (const auto& [name, t] : other)
      if (!tensors.contains(name)) differences.push_back(cat("'", printable(name), "' is only in ", o.against));
  }
  if (app.json) {
    print("coppice.verify/1", {{"file", o.file}, {"tensors", tensors.size()}, {"tensor_bytes", tensors.nbytes()},
                               {"model", model != nullptr}, {"checked", held}, {"differences", differences}});
  } else {
    print(cat(o.file, ": ", tensors.size(), " tensors, ", grouped(static_cast<std::int64_t>(tensors.nbytes())),
              " bytes of values"));
    for (const std::string& rule : held) print("  holds: " + rule);
    for (const std::string& d : differences) print(d);
    if (!o.against.empty() && differences.empty()) print(cat("equal to ", o.against, " bit for bit"));
  }
  return differences.empty() ? kDone : kMismatch;
}

}  // namespace

void add_verify(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "verify",
      "Checks a file with the code that loads it: every rule of its format, checksums of zip members, and for a model\n"
      "that modules and tensors fit. Says what it checked. With --against, exit code 6 if the tensors of two files differ.",
      "  coppice verify model.safetensors\n  coppice verify copy.safetensors --against model.safetensors");
  sub->add_option("FILE", o->file, "Tensor or model file")->required();
  sub->add_option("--against", o->against, "Another file that must hold the same tensors");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
