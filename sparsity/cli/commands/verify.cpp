#include <algorithm>
#include <fstream>
#include <span>

#include "../tensors.h"
#include "coppice/engine/io/load.h"
#include "coppice/nn/init.h"
#include "coppice/nn/io/architecture.h"
#include "coppice/nn/masks/families.h"
#include "coppice/nn/packed/packed_layer.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string file, against;
};

/// Reads every byte of every tensor, so that a damaged disk shows here.
void touch(const App& app, const NamedTensors& tensors) {
  constexpr std::size_t kPiece = std::size_t{1} << 22;
  Progress progress(app, "MB", static_cast<std::int64_t>(tensors.nbytes() >> 20));
  volatile std::uint64_t sink = 0;  // or the compiler would leave the reading out
  std::uint64_t done = 0;
  for (const auto& [name, t] : tensors)
    for (std::span<const std::byte> left(t.bytes(), t.nbytes()); !left.empty();) {
      const auto piece = left.first(std::min(left.size(), kPiece));
      std::uint64_t sum = 0;
      for (const std::byte b : piece) sum += std::to_integer<std::uint64_t>(b);
      sink = sink + sum;
      left = left.subspan(piece.size());
      done += piece.size();
      if (piece.size() == kPiece) progress.update(static_cast<std::int64_t>(done >> 20));
    }
}

/// One line for each rule of the container that held; the loader has thrown where one did not.
std::vector<std::string> container_checks(const App& app, const Options& o, const NamedTensors& tensors) {
  std::ifstream file(o.file, std::ios::binary);
  char first[2] = {};
  file.read(first, sizeof first);
  const bool zip = first[0] == 'P' && first[1] == 'K';
  const std::size_t shards = files_behind(app, o.file).size() - 1;
  std::vector<std::string> out;
  if (zip)
    out.emplace_back("directory and members of the zip archive agree, and their checksums hold");
  else if (shards > 0)
    out.push_back(cat("the index names ", shards, shards == 1 ? " shard" : " shards",
                      ", each tensor stands in its shard and in no other, and the tensors of each cover its data "
                      "without overlap, hole or rest"));
  else
    out.emplace_back("sizes and offsets fit the length of the file");
  out.push_back(cat("names, element types and shapes of ", tensors.size(), " tensors are sound"));
  if (tensors.compared() > 0)
    out.push_back(cat("checksums of the header and of ", tensors.compared(), " tensors hold"));
  out.push_back(cat("all ", grouped(static_cast<std::int64_t>(tensors.nbytes())), " bytes of values can be read"));
  return out;
}

void add_model_checks(nn::Module& model, std::vector<std::string>& out) {
  const std::size_t packed = nn::packed_layers(model).size();
  const std::size_t masks = nn::masks_in(model).size();
  out.push_back(cat("the tensors fit the ", model.named_modules().size(), " modules of the model, by name and shape"));
  if (masks > 0) out.push_back(cat(masks, " masks have the shape of their tensors"));
  if (packed > 0) out.push_back(cat("indices of ", packed, " packed layers are in range and in order"));
}

std::vector<std::string> differences(const App& app, const Options& o, const NamedTensors& tensors) {
  std::vector<std::string> out;
  app.files.push_back(o.against);
  const NamedTensors other = load_checkpoint(app, o.against);
  for (const auto& [name, t] : tensors) {
    const Tensor* twin = other.find(name);
    if (twin == nullptr)
      out.push_back(cat("'", printable(name), "' is only in ", printable(o.file)));
    else if (t.shape() != twin->shape() || t.dtype() != twin->dtype() ||
             !std::equal(t.bytes(), t.bytes() + t.nbytes(), twin->bytes()))
      out.push_back(cat("'", printable(name), "' differs"));
  }
  for (const auto& [name, t] : other)
    if (!tensors.contains(name)) out.push_back(cat("'", printable(name), "' is only in ", printable(o.against)));
  return out;
}

void report(const App& app, const Options& o, const char* kind, const NamedTensors& tensors,
            const std::vector<std::string>& held, const std::vector<std::string>& different) {
  if (app.json) {
    print("coppice.verify/1", {{"file", o.file},
                               {"kind", kind},
                               {"tensors", tensors.size()},
                               {"tensor_bytes", tensors.nbytes()},
                               {"model", std::string_view(kind) == "model"},
                               {"checked", held},
                               {"differences", different},
                               {"left_out", tensors.skipped()}});
    return;
  }
  const std::string numbers =
      cat(tensors.size(), " tensors, ", grouped(static_cast<std::int64_t>(tensors.nbytes())), " bytes of values");
  const std::string_view what = kind;
  print(cat(printable(o.file), ": ", what == "tensors" ? "" : what,
            what == "tensors" || what == "architecture" ? "" : ", ", what == "architecture" ? "" : numbers));
  for (const std::string& rule : held) print("  holds: " + rule);
  for (const std::string& d : different) print(d);
  if (!o.against.empty() && different.empty()) print(cat("equal to ", printable(o.against), " bit for bit"));
  for (const std::string& path : tensors.skipped()) note(app, cat("left out: ", printable(path)));
}

int verify_architecture(const App& app, const Options& o) {
  if (!o.against.empty()) throw UsageError("--against compares tensors; an architecture has none");
  app.files.push_back(o.file);
  const nn::SkipInit no_random_numbers;
  const nn::ModulePtr model = nn::read_architecture(o.file, app.read.limits);
  report(app, o, "architecture", {},
         {"the text is JSON, no key stands twice in an object, and no nesting is deeper than allowed",
          cat("the ", model->named_modules().size(), " modules have known types, and arguments that these take"),
          cat("their ", model->named_parameters().size(), " parameters have sizes that can be had")},
         {});
  return kDone;
}

int run(const App& app, const Options& o) {
  interrupt_at_once();
  if (is_architecture(app, o.file)) return verify_architecture(app, o);
  const Loaded loaded = load_any(app, o.file);
  const NamedTensors& tensors = loaded.tensors;
  const nn::ModulePtr& model = loaded.model;
  touch(app, tensors);
  std::vector<std::string> held = container_checks(app, o, tensors);
  if (model != nullptr) add_model_checks(*model, held);
  std::vector<std::string> different;
  if (!o.against.empty()) different = differences(app, o, tensors);
  const bool training = tensors.metadata().contains("coppice.finetune");
  note_unknown_types(app, loaded);
  report(app, o,
         model != nullptr                ? "model"
         : !loaded.unknown_types.empty() ? "model of unknown modules"
         : training                      ? "checkpoint of fine-tuning"
                                         : "tensors",
         tensors, held, different);
  return different.empty() ? kDone : kMismatch;
}

}  // namespace

void add_verify(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub =
      app.command("verify",
                  "Checks a file with the code that loads it: every rule of its format, the checksums that it carries, "
                  "for a model\n"
                  "that modules and tensors fit, and for an architecture that its modules can be built. Says what it "
                  "checked. With\n"
                  "--against, exit code 6 if the tensors of two files differ.",
                  "  coppice verify model.safetensors\n  coppice verify copy.safetensors --against model.safetensors");
  sub->add_option("FILE", o->file, "Tensor or model file, index of shards, or architecture")->required();
  sub->add_option("--against", o->against, "Another file that must hold the same tensors");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
