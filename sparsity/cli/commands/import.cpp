#include "../app/command_line.h"
#include "../dtypes.h"
#include "../import/model.h"
#include "../tensors.h"
#include "coppice/engine/checked.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/state_dict.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string weights, arch, output, dtype;
  std::uint64_t seed = 0;
  bool no_strict = false, force = false;
  const CLI::Option* seed_option = nullptr;
  const CLI::App* command = nullptr;
  ImportRules rules;
};

/// " and 7 more" beyond what a reader wants to see; --json lists all.
constexpr std::size_t kShown = 100;

void note_each(const App& app, const char* what, const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) note(app, cat(what, printable(names[i])));
  if (names.size() > kShown) note(app, cat(what, names.size() - kShown, " more, which --json lists"));
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 10); ++i)
    out += cat(i == 0 ? "" : ", ", printable(names[i]));
  return names.size() > 10 ? cat(out, " and ", names.size() - 10, " more") : out;
}

/// Commands under which the names fit, a line each; "" if none is found.
std::string ways_out(const App& app, const Options& o) {
  std::string out;
  for (const nn::FittingNames& found : other_names(app, o.weights, o.arch, o.rules)) {
    std::string line = command_line(*o.command, {"--key", "--prefix", "--strip", "--cut", "--ignore", "--no-strict"});
    const nn::Renaming& rules = found.rules;
    if (!rules.key.empty()) line += option_text("--key", rules.key);
    if (!rules.prefix.empty()) line += option_text("--prefix", rules.prefix);
    for (const std::string& text : rules.strip) line += option_text("--strip", text);
    for (const std::string& text : rules.cut) line += option_text("--cut", text);
    for (const std::string& pattern : rules.ignore) line += option_text("--ignore", pattern);
    if (!found.strict || o.no_strict) line += " --no-strict";
    out += cat("\n  ", line);
  }
  return out;
}

Imported imported(const App& app, const Options& o) {
  try {
    return import_model(app, o.weights, o.arch, o.rules);
  } catch (const KeyError& e) {
    const std::string commands = ways_out(app, o);
    if (commands.empty()) throw;
    throw KeyError(cat(e.what(), "\nThe names of ", quote_path(o.weights), " fit with:", commands));
  }
}

void tell(const App& app, const Imported& in) {
  for (const std::string& name : in.prepared)
    note(app,
         cat("note: ", printable(name), " is the original of a parametrization, and dense: PyTorch saves no mask"));
  for (const std::vector<std::string>& names : in.untied)
    note(app, cat("note: one tensor in the checkpoint, and each by itself in a model file: ", listed(names)));
  if (!in.drawn.empty()) note(app, cat("note: not in the checkpoint, and as in a fresh layer: ", listed(in.drawn)));
  if (!in.converted.empty())
    note(app, cat("note: converted to float32, which layers compute in (--dtype keeps another type): ",
                  listed(in.converted)));
  for (const auto& [name, count] : in.overflowed) note(app, too_large_note(name, count, in.model_type));
  note_each(app, "left out: ", in.left_out);
}

int run(const App& app, Options o) {
  interrupt_at_once();
  std::vector<std::string> inputs = files_behind(app, o.weights);
  inputs.push_back(o.arch);
  check_output(o.output, inputs, o.force);
  writes_safetensors(o.output);
  o.rules.strict = !o.no_strict;
  if (o.seed_option->count() > 0) o.rules.seed = o.seed;
  if (!o.dtype.empty()) o.rules.dtype = dtype_from_name(o.dtype);
  const Imported in = imported(app, o);
  tell(app, in);
  write_output(o.output, [&] {
    // Metadata is UTF-8; a name need not be.
    nn::save_model(*in.model, o.output,
                   {{"coppice.source", printable(std::filesystem::path(o.weights).filename().string())}});
  });
  const auto bytes = static_cast<std::int64_t>(file_size(o.output));
  if (app.json)
    print("coppice.import/1", {{"output", o.output},
                               {"tensors", in.tensors},
                               {"masked", in.masked},
                               {"drawn", in.drawn},
                               {"left_out", in.left_out},
                               {"file_bytes", bytes}});
  else
    print(cat(o.output, ": ", in.tensors, " tensors", in.masked > 0 ? cat(", ", in.masked, " of them masked") : "",
              ", ", grouped(bytes), " bytes"));
  return kDone;
}

}  // namespace

void add_import(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "import",
      "Makes a model file from a state dict and an architecture. Names must fit exactly; missing and unexpected ones\n"
      "are listed, and where a key, a prefix or a pattern makes them fit, so is the command that says so. Tensors\n"
      "pruned by PyTorch (X_orig, X_mask) keep their masks; those that its sparsifiers prepared are dense, since it\n"
      "saves no masks of these. Rules on names apply in the order --key, --prefix, --strip, --cut,\n"
      "--ignore.",
      "  coppice import weights.pt --arch lenet.json -o model.safetensors\n"
      "  coppice import checkpoint.pth.tar --arch resnet.json -o model.safetensors --key state_dict\n"
      "  coppice import ddp.pt --arch resnet.json -o model.safetensors --strip module. --ignore 'fc.*' --init 0");
  sub->add_option("WEIGHTS", o->weights, "State dict: .pt, .pth, .safetensors or .npz")->required();
  sub->add_option("--arch", o->arch, "Architecture in JSON, with PyTorch's argument names")->required();
  sub->add_option("-o,--output", o->output, "Model file to write")->required();
  nn::Renaming& names = o->rules.names;
  sub->add_option("--key", names.key, "Key of the checkpoint below which the state dict stands, such as state_dict");
  sub->add_option("--prefix", names.prefix, "Take only names that begin with this text, without it: encoder.");
  sub->add_option("--strip", names.strip,
                  "Text to cut off the beginning of the names that have it: module. or _orig_mod. (repeatable)")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  sub->add_option("--cut", names.cut,
                  "Text to cut out wherever a part of a name begins with it: _orig_mod. of layers that were compiled "
                  "(repeatable)")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  sub->add_option("--ignore", names.ignore,
                  "Tensors of the checkpoint to leave out, by a pattern with * and ? "
                  "(repeatable)")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  sub->add_flag("--no-strict", o->no_strict,
                "Leave out tensors that the architecture has not; those that the checkpoint lacks start as in a fresh "
                "layer");
  sub->add_option("--dtype", o->dtype, "Type of the model's floating tensors (default: float32)")
      ->transform(floating_type());
  o->seed_option = sub->add_option("--init", o->seed,
                                   "Let what the checkpoint lacks start as in a fresh layer: torch.manual_seed of the "
                                   "numbers (0 with --no-strict)")
                       ->transform(whole(0, UINT64_MAX));
  sub->add_flag("--force", o->force, "Replace an existing output");
  o->command = sub;
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
