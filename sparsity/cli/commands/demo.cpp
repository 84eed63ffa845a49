// The whole path on the built-in digits, from a checkpoint that PyTorch wrote to a packed file run by another process.
#include <filesystem>

#include "../data.h"
#include "../demo/elsewhere.h"
#include "../demo/report.h"
#include "../import/model.h"
#include "../measure.h"
#include "../tensors.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/io/atomic_file.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/engine/parallel.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/families.h"
#include "coppice/sparsity/pack/pack.h"
#include "coppice/sparsity/prunables.h"
#include "coppice/sparsity/prune/prune.h"
#include "coppice/sparsity/training/finetune.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string folder = "coppice-demo";
  std::uint64_t seed = 0;
  bool data_only = false, force = false;
};

constexpr double kSparsity = 0.9;
constexpr std::int64_t kBlockEpochs = 5;  // which do for blocks; the demo is to take half a minute
/// All that the demo writes.
constexpr const char* kFiles[] = {"lenet_digits.pt",
                                  "lenet_digits.arch.json",
                                  "dense.safetensors",
                                  "train_images.npy",
                                  "train_classes.npy",
                                  "test_images.npy",
                                  "test_classes.npy",
                                  "pruned_per_layer.safetensors",
                                  "pruned_global.safetensors",
                                  "sparse.safetensors",
                                  "packed.safetensors",
                                  "packed_logits.npy",
                                  "sparse_16x1.safetensors",
                                  "sparse_8x1.safetensors",
                                  "packed_blocks.safetensors",
                                  "packed_blocks_logits.npy",
                                  "report.json"};
constexpr std::size_t kDataFiles = 7;  // of them, what --data-only writes

/// Prunes 90 % of all weights of a model in one shot.
void prune(nn::Module& model, bool global) {
  std::vector<sparsity::prune::Target> targets;
  for (const sparsity::Prunable& p : sparsity::chosen(sparsity::prunables_of(model), sparsity::is_prunable))
    targets.emplace_back(p.module, p.slot);
  if (global)
    sparsity::prune::global_unstructured(targets, sparsity::prune::L1Unstructured(kSparsity));
  else
    for (const auto& [module, name] : targets) sparsity::prune::l1_unstructured(*module, name, kSparsity);
  nn::burn_in_masks(model);
}

class Demo {
 public:
  Demo(const App& app, const Options& o) : app_(app), o_(o), folder_(o.folder) {}

  int run() {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) throw IoError(cat("[demo] cannot make the folder '", o_.folder, "': ", error.message()));
    claim_folder();
    try {
      return steps();
    } catch (const Interrupted&) {
      throw Interrupted{cat("the files so far are in ", o_.folder)};
    }
  }

 private:
  /// Files that an earlier demo left may be replaced, those of anybody else may not.
  void claim_folder() {
    const std::filesystem::path mark = folder_ / ".coppice-demo";
    const bool may = replaceable(mark.string()) || o_.force;
    for (const char* name : kFiles)
      if (replaceable(path(name)) && !may)
        throw UsageError(cat("'", path(name), "' exists and is of no earlier demo; pass --force to replace it"));
    write_file(mark, std::string("Files of `coppice demo`; the next one replaces them.\n"));
  }

  int steps() {
    import();
    if (o_.data_only) return report_data();
    one_shot("90 % per layer, one shot", "per_layer", false);
    one_shot("90 % global, one shot", "global", true);
    gradual();
    pack_gradual();
    prune_in_blocks();
    time_all();
    report();
    return kDone;
  }

  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }

  void import() {
    note(app_, "1/6  reading lenet_digits.pt as PyTorch wrote it");
    write_file(path("lenet_digits.pt"), embedded::lenet_digits_pt());
    write_file(path("lenet_digits.arch.json"), embedded::lenet_arch_json());
    const nn::ModulePtr model = import_model(app_, path("lenet_digits.pt"), path("lenet_digits.arch.json")).model;
    model->eval();
    test_ = load_data(app_, "digits", Split::test, *model);
    found_.seed = o_.seed;
    found_.samples = test_.size();
    add("dense", "dense.safetensors", model);
    write_npy(path("test_images.npy"), test_.x);
    write_npy(path("test_classes.npy"), test_.y);
    const sparsity::Dataset train = load_data(app_, "digits", Split::train, *model);
    write_npy(path("train_images.npy"), train.x);
    write_npy(path("train_classes.npy"), train.y);
  }

  int report_data() {
    const std::vector<std::string> files(kFiles, kFiles + kDataFiles);
    if (app_.json)
      print("coppice.demo/1", {{"folder", o_.folder}, {"files", files}});
    else
      for (const std::string& file : files)
        print(cat(path(file), ": ", grouped(static_cast<std::int64_t>(file_size(path(file)))), " bytes"));
    return kDone;
  }

  void add(const std::string& name, const std::string& file, const nn::ModulePtr& model,
           const std::map<std::string, std::string>& notes = {}) {
    nn::save_model(*model, path(file), notes);
    DemoEntry e;
    e.name = name;
    e.file = path(file);
    e.model = load_model_file(app_, path(file));
    e.correct = sparsity::evaluate(*e.model, test_).correct;
    e.count = sparsity::count_weights(*e.model);
    found_.entries.push_back(std::move(e));
    check_interrupt();
  }

  void one_shot(const std::string& name, const std::string& file, bool global) {
    note(app_, cat("2/6  pruning: ", name));
    const nn::ModulePtr model = found_.entries.front().model->clone();
    prune(*model, global);
    add(name, "pruned_" + file + ".safetensors", model);
  }

  /// Trains a copy of the dense model. @return  the pruned one, with its zeros burnt in
  nn::ModulePtr tune(sparsity::FinetuneOptions train, sparsity::FinetuneReport& report) {
    const nn::ModulePtr model = found_.entries.front().model->clone();
    train.sparsity = kSparsity;
    train.seed = o_.seed;
    const sparsity::Dataset data = load_data(app_, "digits", Split::train, *model);
    Progress progress(app_, "     epoch", train.epochs);
    report = sparsity::finetune(*model, data, train, sparsity::is_prunable, [&](const sparsity::EpochReport& r) {
      progress.update(r.epoch, cat(percent(r.sparsity), " zeros"));
      check_interrupt();
      return true;
    });
    nn::burn_in_masks(*model);
    return model;
  }

  void gradual() {
    note(app_, "3/6  pruning gradually while fine-tuning");
    sparsity::FinetuneReport report;
    const nn::ModulePtr model = tune({}, report);
    found_.epochs = static_cast<std::int64_t>(report.epochs.size());
    add(cat("90 % gradual, ", found_.epochs, " epochs"), "sparse.safetensors", model);
  }

  /// @return  number of the entry
  std::size_t blocks(const sparsity::Block& block) {
    note(app_, cat("5/6  the same in blocks of ", block));
    sparsity::FinetuneReport report;
    sparsity::FinetuneOptions train;
    train.epochs = kBlockEpochs;
    train.block = block;
    const nn::ModulePtr model = tune(train, report);
    found_.blocks.emplace_back(to_string(block), report.layers);
    add(cat("90 % in blocks of ", block), cat("sparse_", block, ".safetensors"), model);
    return found_.entries.size() - 1;
  }

  std::vector<sparsity::PackDecision> pack(std::size_t entry, const std::string& name, const std::string& file) {
    const sparsity::Packed packed = sparsity::pack(*found_.entries[entry].model, {}, narrow(test_.x, 0, 0, 1));
    add(name, file, packed.model, {{"coppice.pack", sparsity::decisions_to_json(packed.decisions)}});
    return packed.decisions;
  }

  void pack_gradual() {
    note(app_, "4/6  packing: timing storage and kernels of each layer");
    found_.decisions = pack(found_.entries.size() - 1, "the same, packed", "packed.safetensors");
    found_.elsewhere = correct_elsewhere("packed");
  }

  /// Both blocks, and the better of them packed.
  void prune_in_blocks() {
    const std::size_t wide = blocks({16, 1}), narrow = blocks({8, 1});
    const std::size_t better = found_.entries[narrow].correct > found_.entries[wide].correct ? narrow : wide;
    const std::string& block = found_.blocks[better - wide].first;
    found_.block_decisions = pack(better, cat("blocks of ", block, ", packed"), "packed_blocks.safetensors");
    found_.blocks_elsewhere = correct_elsewhere("packed_blocks");
  }

  /// What `coppice run` makes of a packed file in a process of its own.
  [[nodiscard]] std::int64_t correct_elsewhere(const std::string& name) const {
    const std::string logits = path(name + "_logits.npy");
    run_elsewhere(path(name + ".safetensors"), path("test_images.npy"), logits);
    return sparsity::count_correct(read_npy(logits, app_.read), test_.y);
  }

  void time_all() {
    note(app_, "6/6  timing all models in turn");
    std::vector<const nn::Module*> models;
    for (const DemoEntry& e : found_.entries) models.push_back(e.model.get());
    const auto one = measure(models, narrow(test_.x, 0, 0, 1));
    const auto many = measure(models, narrow(test_.x, 0, 0, 64));
    for (std::size_t i = 0; i < models.size(); ++i) found_.entries[i].one = one[i], found_.entries[i].many = many[i];
  }

  void report() {
    // The folder's name need not be UTF-8.
    write_file(path("report.json"), found_.json().dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    if (app_.json) return print("coppice.demo/1", found_.json());
    found_.print();
    print(cat("\nFiles are in ", o_.folder, "/ (report.json holds these numbers). To try next:"));
    print(cat("  ./coppice inspect ", path("packed_blocks.safetensors")));
    print(cat("  ./coppice prune ", path("lenet_digits.pt"),
              " -o pruned.safetensors --method ln_structured --amount 0.5 "
              "--n 2 --dim 0"));
  }

  const App& app_;
  const Options& o_;
  std::filesystem::path folder_;
  sparsity::Dataset test_;
  DemoReport found_;
};

}  // namespace

void add_demo(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command("demo",
                              "The whole path on 1,797 handwritten digits: takes a network that PyTorch trained, "
                              "prunes it, fine-tunes it with\n"
                              "the masks kept, entry by entry and in blocks, packs it, runs the packed files in "
                              "processes of their own, and shows\n"
                              "what was gained. Files of an earlier demo in the folder are replaced.",
                              "  coppice demo\n  coppice demo /tmp/digits --seed 7 --json");
  sub->add_option("DIR", o->folder, "Folder for the files")->capture_default_str();
  sub->add_option("--seed", o->seed, "Seed of the fine-tuning")->transform(whole(0, UINT64_MAX))->capture_default_str();
  sub->add_flag("--force", o->force, "Replace files in DIR even if no earlier demo wrote them");
  sub->add_flag("--data-only", o->data_only, "Write the checkpoint, its architecture and the digits as .npy, and stop");
  sub->callback([&app, o] { app.action = [&app, o] { return Demo(app, *o).run(); }; });
}

}  // namespace coppice::cli
