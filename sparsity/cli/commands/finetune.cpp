#include "../data.h"
#include "../tensors.h"

#include <filesystem>
#include <set>

#include "../packed.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/families.h"
#include "coppice/nn/packed/packed_layer.h"
#include "coppice/sparsity/prunables.h"
#include "coppice/sparsity/training/finetune.h"
#include "finetune/pruning.h"
#include "prune/report.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string model, output, data, optimizer = "adam";
  const CLI::Option *momentum_option = nullptr, *checkpoint_option = nullptr;
  PruningOptions pruning;
  std::string checkpoint;
  bool keep_masks = false, force = false;
  NameFilter names;
  sparsity::FinetuneOptions train;
};

/// Weights that --include and --exclude choose, or nobody.
std::set<std::string> taken_names(const Options& o, nn::Module& model) {
  std::set<std::string> out;
  for (const sparsity::Prunable& p : sparsity::prunables_of(model))
    if (o.names.takes(p)) out.insert(p.name);
  return out;
}

/// Names those that pruning of all weights together left nearly nothing of.
void note_emptied(const App& app, const Options& o, nn::Module& model) {
  const NoGrad guard;
  std::vector<PrunedRow> rows;
  const std::set<std::string> taken = taken_names(o, model);
  for (const sparsity::Prunable& p : sparsity::prunables_of(model)) {
    if (!taken.contains(p.name)) continue;
    const Tensor value = p.value();
    rows.push_back({p.name, value.shape(), value.numel() - count_nonzero(value), value.numel(), 0});
  }
  note_nearly_empty(app, rows, "");
}

/// As sparsity::finetune. @throws NotSupported  for a model that has no gradients where training needs them: packed
/// layers behind others, or nothing but frozen parameters. To the library it is a call at the wrong moment.
template <class Progressed>
sparsity::FinetuneReport train(const Options& o, nn::Module& model, const sparsity::Dataset& data,
                               Progressed progressed) {
  const std::set<std::string> taken = taken_names(o, model);
  try {
    return sparsity::finetune(
        model, data, o.train, [&](const std::string& name, const Tensor&) { return taken.contains(name); }, progressed);
  } catch (const StateError& e) {
    const std::string advice =
        nn::packed_layers(model).empty() ? "" : cat("; ", unpack_command(o.model), " makes it dense");
    throw NotSupported(cat(quote_path(o.model), " cannot be trained: ", e.what(), advice));
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

int run(const App& app, Options o) {
  if (o.checkpoint.empty()) interrupt_at_once();  // otherwise between epochs: a checkpoint is written after each
  std::vector<std::string> inputs = data_files(o.data);
  for (std::string& file : files_behind(app, o.model)) inputs.push_back(std::move(file));
  if (!o.pruning.config().empty()) inputs.push_back(o.pruning.config());
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
  o.pruning.read(app, o.names, o.train);
  o.train.empty_masks = false;
  o.train.optimizer = o.optimizer == "sgd"     ? sparsity::FinetuneOptions::Optimizer::sgd
                      : o.optimizer == "adamw" ? sparsity::FinetuneOptions::Optimizer::adamw
                                               : sparsity::FinetuneOptions::Optimizer::adam;
  const Loaded input = load_model(app, o.model);
  const nn::ModulePtr& model = input.model;
  std::vector<std::string> names = names_of(nn::masks_in(*model), sparsity::prunables_of(*model));
  const std::vector<std::string> packed = packed_weights(*model);
  refuse_packed(o.names, names, packed, o.model);
  names.insert(names.end(), packed.begin(), packed.end());
  o.names.check_patterns(names);
  note_packed(app, packed, o.model);
  const sparsity::Dataset data = load_data(app, o.data, Split::train, *model);

  Progress progress(app, "epoch", o.train.epochs);
  const sparsity::FinetuneReport report = train(o, *model, data, [&](const sparsity::EpochReport& r) {
    progress.update(r.epoch, cat("loss ", fixed(r.train_loss, 4), "  zeros ", percent(r.sparsity), "  validation ",
                                 r.validation.correct, "/", r.validation.count));
    check_interrupt(cat(o.checkpoint, " is where the same command goes on"));
    return true;
  });
  if (o.train.sparsity) note_emptied(app, o, *model);
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
    if (!report.layers.empty()) document["layers"] = layers_json(report.layers);
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
  o->pruning.add_options(sub);
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
