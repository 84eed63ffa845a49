#include "../data.h"
#include "../tensors.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "coppice/engine/checked.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/families.h"
#include "coppice/sparsity/prunables.h"
#include "coppice/sparsity/sparsifier/config_file.h"
#include "coppice/sparsity/training/finetune.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string model, output, data, optimizer = "adam", block, pattern, schedule = "cubic", config;
  std::optional<double> sparsity;
  const CLI::Option *momentum_option = nullptr, *ramp_option = nullptr, *checkpoint_option = nullptr,
                    *schedule_option = nullptr;
  std::string checkpoint;
  bool keep_masks = false, force = false;
  NameFilter names;
  sparsity::FinetuneOptions train;
};

/// As sparsity::finetune. @throws NotSupported  for a model that has no gradients where training needs them: packed
/// layers behind others, or nothing but frozen parameters. To the library it is a call at the wrong moment.
template <class Progressed>
sparsity::FinetuneReport train(const Options& o, nn::Module& model, const sparsity::Dataset& data,
                               Progressed progressed) {
  try {
    return sparsity::finetune(
        model, data, o.train, [&](const std::string& name, const Tensor& t) { return o.names.takes(name, t); },
        progressed);
  } catch (const StateError& e) {
    throw NotSupported(cat(quote_path(o.model), " cannot be trained: ", e.what()));
  }
}

/// What a pattern may mean: tensors as the model computes with them.
std::vector<std::string> names_of(const std::vector<nn::MaskedSlot>& masked,
                                  const std::vector<sparsity::Prunable>& all) {
  std::vector<std::string> out;
  for (const nn::MaskedSlot& m : masked) out.push_back(m.path);
  for (const sparsity::Prunable& p : all) out.push_back(p.name);
  return out;
}

Json row_json(const sparsity::EpochReport& r) {
  return {{"epoch", r.epoch},
          {"train_loss", r.train_loss},
          {"sparsity", r.sparsity},
          {"validation_correct", r.validation.correct},
          {"validation_count", r.validation.count},
          {"validation_loss", r.validation.loss},
          {"best", r.best}};
}

/// @throws UsageError  for what its own type refuses
template <class Parse>
auto parsed(const char* option, const std::string& text, Parse parse) {
  try {
    return parse(text);
  } catch (const ValueError& e) {
    throw UsageError(cat(option, ": ", e.what()));
  }
}

/// What is pruned, and when. @throws UsageError  for options that exclude each other
void read_pruning(const App& app, Options& o) {
  const auto exclude = [](bool both, const char* a, const char* b) {
    if (both) throw UsageError(cat(a, " and ", b, " exclude each other"));
  };
  const bool pattern = !o.pattern.empty(), config = !o.config.empty();
  exclude(pattern && !o.block.empty(), "--block", "--pattern");
  exclude(config && !o.block.empty(), "--config", "--block");
  exclude(config && pattern, "--config", "--pattern");
  exclude(config && o.sparsity, "--config", "--sparsity");
  exclude(config && !o.names.include.empty(), "--config", "--include");
  exclude(config && !o.names.exclude.empty(), "--config", "--exclude");
  if (!o.block.empty() && !o.sparsity) throw UsageError("--block needs --sparsity");
  if (!o.sparsity && !pattern && !config)
    for (const CLI::Option* option : {o.ramp_option, o.schedule_option})
      only_with(*option, "--sparsity, --pattern and --config");
  if (o.schedule == "constant") only_with(*o.ramp_option, "--schedule cubic, linear and step");
  o.train.sparsity = o.sparsity;
  o.train.curve = sparsity::curve_of(o.schedule);
  if (!o.block.empty()) o.train.block = parsed("--block", o.block, sparsity::Block::parse);
  if (pattern) {
    o.train.pattern = parsed("--pattern", o.pattern, sparsity::Pattern::parse);
    const auto& p = *o.train.pattern;
    const double level = 1 - static_cast<double>(p.n) / static_cast<double>(p.m);
    if (o.sparsity && std::abs(*o.sparsity - level) > 1e-9)
      throw UsageError(
          cat("--pattern ", p, " is a sparsity of ", level, "; --sparsity ", *o.sparsity, " contradicts it"));
  }
  if (config) {
    app.files.push_back(o.config);
    o.train.groups = sparsity::read_sparsifier_config(o.config, app.read.limits);
  }
}

/// Why a weight is not pruned, in the words of the options.
std::string reason_of(const sparsity::LayerReport& layer) {
  return layer.dense_because == "not selected" ? "left out by --include and --exclude" : layer.dense_because;
}

Json layer_json(const sparsity::LayerReport& l) {
  return {{"name", l.name},
          {"weights", l.weights},
          {"zeros", l.zeros},
          {"dense_because", l.dense_because.empty() ? Json() : Json(reason_of(l))}};
}

void print_layers(const std::vector<sparsity::LayerReport>& layers) {
  if (layers.empty()) return;
  Table table{{"weight", "entries", "zeros", ""}, {}};
  for (const sparsity::LayerReport& l : layers)
    table.rows.push_back(
        {printable(l.name), grouped(l.weights),
         percent(static_cast<double>(l.zeros) / static_cast<double>(std::max<std::int64_t>(1, l.weights))),
         l.dense_because.empty() ? "" : cat("stays dense: ", reason_of(l))});
  print(table.text());
}

int run(const App& app, Options o) {
  if (o.checkpoint.empty()) interrupt_at_once();  // otherwise between epochs: a checkpoint is written after each
  std::vector<std::string> inputs = data_files(o.data);
  for (std::string& file : files_behind(app, o.model)) inputs.push_back(std::move(file));
  if (!o.config.empty()) inputs.push_back(o.config);
  check_output(o.output, inputs, o.force);
  writes_safetensors(o.output);
  if (o.checkpoint_option->count() > 0) {
    inputs.push_back(o.output);
    check_output(o.checkpoint, inputs, true);  // an existing one is gone on from
    o.train.checkpoint = o.checkpoint;
    o.train.read = app.read;
    std::error_code ignored;
    if (std::filesystem::exists(o.checkpoint, ignored)) {
      note(app, cat("going on from ", o.checkpoint));
      app.files.push_back(o.checkpoint);
    }
  }
  if (o.optimizer != "sgd") only_with(*o.momentum_option, "--optimizer sgd");
  read_pruning(app, o);
  o.train.optimizer = o.optimizer == "sgd"     ? sparsity::FinetuneOptions::Optimizer::sgd
                      : o.optimizer == "adamw" ? sparsity::FinetuneOptions::Optimizer::adamw
                                               : sparsity::FinetuneOptions::Optimizer::adam;
  const Loaded input = load_model(app, o.model);
  const nn::ModulePtr& model = input.model;
  o.names.check_patterns(names_of(nn::masks_in(*model), sparsity::prunables_of(*model)));
  const sparsity::Dataset data = load_data(app, o.data, Split::train, *model);

  Progress progress(app, "epoch", o.train.epochs);
  const sparsity::FinetuneReport report = train(o, *model, data, [&](const sparsity::EpochReport& r) {
    progress.update(r.epoch, cat("loss ", fixed(r.train_loss, 4), "  zeros ", percent(r.sparsity), "  validation ",
                                 r.validation.correct, "/", r.validation.count));
    check_interrupt(cat(o.checkpoint, " is where the same command goes on"));
    return true;
  });
  if (!o.keep_masks) nn::burn_in_masks(*model);
  write_output(o.output, [&] { nn::save_model(*model, o.output, notes_of(input.tensors)); });

  const sparsity::EpochReport& best = report.epochs[static_cast<std::size_t>(report.best_epoch - 1)];
  if (app.json) {
    Json rows = Json::array();
    for (const auto& r : report.epochs) rows.push_back(row_json(r));
    Json document{{"output", o.output},
                  {"seed", o.train.seed},
                  {"epochs", rows},
                  {"best_epoch", report.best_epoch},
                  {"stopped_early", report.stopped_early},
                  {"sparsity", best.sparsity}};
    if (!report.layers.empty()) {
      Json layers = Json::array();
      for (const auto& l : report.layers) layers.push_back(layer_json(l));
      document["layers"] = std::move(layers);
    }
    print("coppice.finetune/1", std::move(document));
    return kDone;
  }
  Table table{{"epoch", "train loss", "zeros", "validation", "loss"}, {}};
  for (const auto& r : report.epochs)
    table.rows.push_back({cat(r.epoch, r.epoch == report.best_epoch ? " *" : ""), fixed(r.train_loss, 4),
                          percent(r.sparsity), cat(r.validation.correct, "/", r.validation.count),
                          fixed(r.validation.loss, 4)});
  print(table.text());
  print_layers(report.layers);
  print(cat("* kept", report.stopped_early ? "; stopped early" : "", "; ", percent(best.sparsity), " zeros"));
  print(cat(o.output, ": ", grouped(static_cast<std::int64_t>(file_size(o.output))), " bytes"));
  return kDone;
}

}  // namespace

void add_finetune(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "finetune",
      "Trains a model with its zeros kept; with --sparsity prunes gradually while training (cubic schedule, global\n"
      "magnitude), with --block in whole blocks of all weights together, with --pattern n of every m neighbours, with\n"
      "--config each tensor as a list says. Weights too narrow for that stay dense and are named. The best epoch by a\n"
      "part of the training data is kept. Equal seeds give equal bytes.",
      "  coppice finetune pruned.safetensors -o tuned.safetensors --data digits --epochs 5\n"
      "  coppice finetune model.safetensors -o sparse.safetensors --data X.npy,Y.npy --sparsity 0.9\n"
      "  coppice finetune model.safetensors -o blocks.safetensors --data digits --sparsity 0.9 --block 16x1\n"
      "  coppice finetune model.safetensors -o two_of_four.safetensors --data digits --pattern 2:4 --schedule linear\n"
      "  coppice finetune model.safetensors -o groups.safetensors --data digits --config groups.json\n"
      "  coppice finetune model.safetensors -o tuned.safetensors --data digits --checkpoint run.safetensors");
  sub->add_option("MODEL", o->model, "Model file")->required();
  sub->add_option("-o,--output", o->output, "Model file to write")->required();
  sub->add_option("--data", o->data, "\"digits\" (built in, training split) or X.npy,Y.npy")->required();
  sub->add_option("--sparsity", o->sparsity, "Share of zeros to reach gradually, of all selected weights together")
      ->check(finite(0, 1));
  sub->add_option("--block", o->block,
                  "Prune whole blocks, such as 16x1 (16 outputs that share an input): those of least mean square of "
                  "all weights together");
  sub->add_option("--pattern", o->pattern, "Keep n of every m neighbours of a row, such as 2:4");
  sub->add_option("--config", o->config,
                  "JSON file with PyTorch's list of groups: [{\"tensor_fqn\": \"0.weight\", \"sparsity_level\": 0.8, "
                  "\"sparse_block_shape\": [1, 4]}, ...]");
  o->schedule_option =
      sub->add_option("--schedule", o->schedule,
                      "How the level rises inside the ramp: cubic, linear, step (four stairs) or constant (at once)")
          ->check(CLI::IsMember({"cubic", "linear", "step", "constant"}))
          ->capture_default_str();
  sub->add_option("--epochs", o->train.epochs, "Passes over the data at most")
      ->transform(whole(1, sparsity::kMostEpochs))
      ->capture_default_str();
  sub->add_option("--batch", o->train.batch, "Samples per step")->transform(whole(1, INT64_MAX))->capture_default_str();
  sub->add_option("--lr", o->train.lr, "Learning rate")->check(finite(0, 1e6))->capture_default_str();
  sub->add_option("--optimizer", o->optimizer, "adam, adamw or sgd")
      ->check(CLI::IsMember({"adam", "adamw", "sgd"}))
      ->capture_default_str();
  o->momentum_option =
      sub->add_option("--momentum", o->train.momentum, "Momentum of sgd")->check(finite(0, 1))->capture_default_str();
  sub->add_option("--weight-decay", o->train.weight_decay, "Weight decay")
      ->check(finite(0, 1e6))
      ->capture_default_str();
  sub->add_option("--seed", o->train.seed, "Seed of order and split")
      ->transform(whole(0, UINT64_MAX))
      ->capture_default_str();
  sub->add_option("--validation", o->train.validation, "Share of the data that chooses the best epoch")
      ->check(finite(0, 0.9))
      ->capture_default_str();
  sub->add_option("--patience", o->train.patience, "Epochs without a better one before stopping; 0: never")
      ->transform(whole(0, INT64_MAX))
      ->capture_default_str();
  o->ramp_option = sub->add_option("--ramp", o->train.ramp, "Share of the epochs in which the sparsity rises")
                       ->check(finite(0.01, 1))
                       ->capture_default_str();
  o->checkpoint_option = sub->add_option(
      "--checkpoint", o->checkpoint,
      "File to write after every epoch; a run that finds it goes on from there and ends with the same bytes");
  o->names.add_options(sub);
  sub->add_flag("--keep-masks", o->keep_masks,
                "Write the masks too, so that later training keeps them apart from zeros");
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] { app.action = [&app, o] { return run(app, *o); }; });
}

}  // namespace coppice::cli
