#include "../tensors.h"
#include "coppice/engine/io/load.h"
#include "coppice/nn/io/model_file.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string file, against;
};

/// Every byte of every tensor is read, so that a damaged disk shows here.
std::uint64_t touched(const NamedTensors& tensors) {
  std::uint64_t sum = 0;
  for (const auto& [name, t] : tensors)
    for (std::size_t i = 0; i < t.nbytes(); ++i) sum += static_cast<std::uint64_t>(t.bytes()[i]);
  return sum;
}

int run(const App& app, const Options& o) {
  ReadOptions options = app.read;
  options.verify = true;
  const NamedTensors tensors = load_tensors(o.file, options);
  const bool model = nn::is_model(tensors);
  if (model) (void)nn::model_from_tensors(tensors, o.file);
  (void)touched(tensors);

  std::vector<std::string> differences;
  if (!o.against.empty()) {
    const NamedTensors other = load_tensors(o.against, options);
    for (const auto& [name, t] : tensors) {
      const Tensor* twin = other.find(name);
      if (twin == nullptr) differences.push_back(cat("'", name, "' is only in ", o.file));
      else if (t.shape() != twin->shape() || t.dtype() != twin->dtype() ||
               !std::equal(t.bytes(), t.bytes() + t.nbytes(), twin->bytes()))
        differences.push_back(cat("'", name, "' differs"));
    }
    for (const auto& [name, t] : other)
      if (!tensors.contains(name)) differences.push_back(cat("'", name, "' is only in ", o.against));
  }
  if (app.json) {
    print("coppice.verify/1", {{"file", o.file}, {"tensors", tensors.size()}, {"tensor_bytes", tensors.nbytes()},
                               {"model", model}, {"differences", differences}});
  } else {
    print(cat(o.file, ": ", tensors.size(), " tensors, ", grouped(static_cast<std::int64_t>(tensors.nbytes())),
              " bytes of values: sizes, offsets, types and names hold", model ? "; the modules fit their tensors" : ""));
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
      "that modules and tensors fit. With --against, exit code 6 if the tensors of two files differ.",
      "  coppice verify model.safetensors\n  coppice verify copy.safetensors --against model.safetensors");
  sub->add_option("FILE", o->file, "Tensor or model file")->required();
  sub->add_option("--against", o->against, "Another file that must hold the same tensors");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
