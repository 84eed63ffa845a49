// The whole path on the built-in digits, from a checkpoint that PyTorch wrote to a packed file run by another process.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <filesystem>

#include "../data.h"
#include "../measure.h"
#include "../tensors.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/cpu.h"
#include "coppice/engine/io/atomic_file.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/families.h"
#include "coppice/sparsity/pack/pack.h"
#include "coppice/sparsity/prunables.h"
#include "coppice/sparsity/prune/prune.h"
#include "coppice/sparsity/training/finetune.h"

extern char** environ;

namespace coppice::cli {
namespace {

struct Options {
  std::string folder = "coppice-demo";
  std::uint64_t seed = 0;
  bool data_only = false, force = false;
};

constexpr double kSparsity = 0.9;
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
                                  "report.json"};
constexpr std::size_t kDataFiles = 7;  // of them, what --data-only writes

/// One line of the table.
struct Entry {
  std::string name;
  std::string file;
  nn::ModulePtr model;
  std::int64_t correct = 0;
  sparsity::WeightCount count;
  Latency one, many;
};

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

/// Runs `coppice run` in a process of its own. @throws StateError  if it fails; Interrupted  if it or we were
void run_elsewhere(const std::string& model, const std::string& input, const std::string& output) {
  std::vector<std::string> words{"coppice", "run", model, input, "-o", output, "--quiet", "--force", "--json"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1 /* O_WRONLY */, 0);
  pid_t child = 0;
  const int error = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  pid_t ended = -1;
  while (error == 0 && (ended = waitpid(child, &status, 0)) < 0 && errno == EINTR) {
  }
  check_interrupt();
  // Ctrl-C in a terminal goes to both processes, and may have come before the other one had a handler.
  const int code = ended > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
  const int signal = ended > 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (code == kInterrupted || signal == SIGINT || signal == SIGTERM) throw Interrupted{};
  if (code != kDone) throw StateError(cat("[demo] 'coppice run ", model, "' failed in its own process"));
}

std::string ratio(double a, double b) { return fixed(a / b, 2) + "x"; }

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
    pack();
    check_packed_elsewhere();
    time_all();
    report();
    return kDone;
  }

  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }

  void import() {
    note(app_, "1/5  reading lenet_digits.pt as PyTorch wrote it");
    write_file(path("lenet_digits.pt"), embedded::lenet_digits_pt());
    write_file(path("lenet_digits.arch.json"), embedded::lenet_arch_json());
    const nn::ModulePtr model = import_model(app_, path("lenet_digits.pt"), path("lenet_digits.arch.json")).model;
    model->eval();
    test_ = load_data(app_, "digits", Split::test, *model);
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
    Entry e;
    e.name = name;
    e.file = path(file);
    e.model = load_model_file(app_, path(file));
    e.correct = sparsity::evaluate(*e.model, test_).correct;
    e.count = sparsity::count_weights(*e.model);
    entries_.push_back(std::move(e));
    check_interrupt();
  }

  void one_shot(const std::string& name, const std::string& file, bool global) {
    note(app_, cat("2/5  pruning: ", name));
    const nn::ModulePtr model = entries_.front().model->clone();
    prune(*model, global);
    add(name, "pruned_" + file + ".safetensors", model);
  }

  void gradual() {
    note(app_, "3/5  pruning gradually while fine-tuning");
    const nn::ModulePtr model = entries_.front().model->clone();
    sparsity::FinetuneOptions train;
    train.sparsity = kSparsity;
    train.seed = o_.seed;
    const sparsity::Dataset data = load_data(app_, "digits", Split::train, *model);
    Progress progress(app_, "     epoch", train.epochs);
    const auto report =
        sparsity::finetune(*model, data, train, sparsity::is_prunable, [&](const sparsity::EpochReport& r) {
          progress.update(r.epoch, cat(percent(r.sparsity), " zeros"));
          check_interrupt();
          return true;
        });
    epochs_ = static_cast<std::int64_t>(report.epochs.size());
    nn::burn_in_masks(*model);
    add(cat("90 % gradual, ", epochs_, " epochs"), "sparse.safetensors", model);
  }

  void pack() {
    note(app_, "4/5  packing: timing storage and kernels of each layer");
    const sparsity::Packed packed = sparsity::pack(*entries_.back().model, {}, narrow(test_.x, 0, 0, 1));
    decisions_ = packed.decisions;
    add("the same, packed", "packed.safetensors", packed.model,
        {{"coppice.pack", sparsity::decisions_to_json(packed.decisions)}});
  }

  void check_packed_elsewhere() {
    note(app_, "5/5  running the packed file in a process of its own, then timing all models in turn");
    run_elsewhere(path("packed.safetensors"), path("test_images.npy"), path("packed_logits.npy"));
    const Tensor logits = read_npy(path("packed_logits.npy"), app_.read);
    elsewhere_ = sparsity::count_correct(logits, test_.y);
  }

  void time_all() {
    std::vector<const nn::Module*> models;
    for (const Entry& e : entries_) models.push_back(e.model.get());
    const auto one = measure(models, narrow(test_.x, 0, 0, 1));
    const auto many = measure(models, narrow(test_.x, 0, 0, 64));
    for (std::size_t i = 0; i < entries_.size(); ++i) entries_[i].one = one[i], entries_[i].many = many[i];
  }

  [[nodiscard]] Json json() const {
    Json models = Json::array();
    for (const Entry& e : entries_)
      models.push_back({{"name", e.name},
                        {"file", e.file},
                        {"correct", e.correct},
                        {"count", test_.size()},
                        {"zeros", e.count.zeros},
                        {"weights", e.count.weights},
                        {"file_bytes", file_size(e.file)},
                        {"memory_bytes", memory_bytes(*e.model)},
                        {"batch_1_ms", e.one.p50},
                        {"batch_64_ms", e.many.p50}});
    return {{"schema", "coppice.demo/1"},
            {"seed", o_.seed},
            {"threads", num_threads()},
            {"instructions", std::string(name_of(cpu_level()))},
            {"epochs", epochs_},
            {"models", models},
            {"packed_in_own_process_correct", elsewhere_},
            {"layers", Json::parse(sparsity::decisions_to_json(decisions_))}};
  }

  void report() {
    // The folder's name need not be UTF-8.
    write_file(path("report.json"), json().dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    if (app_.json) return print("coppice.demo/1", json());
    const Entry& dense = entries_.front();
    const auto bytes = [](const Entry& e) { return static_cast<double>(file_size(e.file)); };
    Table table{{"model", "correct", "zeros", "file", "memory", "batch 1", "batch 64"}, {}};
    for (const Entry& e : entries_)
      table.rows.push_back({e.name, cat(e.correct, "/", test_.size()),
                            percent(static_cast<double>(e.count.zeros) / static_cast<double>(e.count.weights)),
                            grouped(static_cast<std::int64_t>(bytes(e))), grouped(memory_bytes(*e.model)),
                            fixed(e.one.p50, 4) + " ms", fixed(e.many.p50, 3) + " ms"});
    const Entry& packed = entries_.back();
    table.rows.push_back(
        {"dense / packed", "", "", ratio(bytes(dense), bytes(packed)),
         ratio(static_cast<double>(memory_bytes(*dense.model)), static_cast<double>(memory_bytes(*packed.model))),
         ratio(dense.one.p50, packed.one.p50), ratio(dense.many.p50, packed.many.p50)});
    print(table.text());
    print(cat("\nThe packed file, run by a process of its own: ", elsewhere_, " of ", test_.size(), " correct."));
    print(cat("Times are medians, the models taking turns, on ", num_threads(),
              num_threads() == 1 ? " thread" : " threads", " with ", name_of(cpu_level()), " instructions."));
    print("\nHow each layer is packed:");
    for (const auto& d : decisions_) print(cat("  ", d.path, " ", d.type, ": ", d.reason));
    print(cat("\nFiles are in ", o_.folder, "/ (report.json holds these numbers). To try next:"));
    print(cat("  ./coppice inspect ", path("packed.safetensors")));
    print(cat("  ./coppice prune ", path("lenet_digits.pt"),
              " -o pruned.safetensors --method ln_structured --amount 0.5 "
              "--n 2 --dim 0"));
  }

  const App& app_;
  const Options& o_;
  std::filesystem::path folder_;
  sparsity::Dataset test_;
  std::vector<Entry> entries_;
  std::vector<sparsity::PackDecision> decisions_;
  std::int64_t epochs_ = 0, elsewhere_ = 0;
};

}  // namespace

void add_demo(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "demo",
      "The whole path on 1,797 handwritten digits: takes a network that PyTorch trained, prunes it, fine-tunes it "
      "with\n"
      "the masks kept, packs it, runs the packed file in a process of its own, and shows what was gained. Files of an\n"
      "earlier demo in the folder are replaced.",
      "  coppice demo\n  coppice demo /tmp/digits --seed 7 --json");
  sub->add_option("DIR", o->folder, "Folder for the files")->capture_default_str();
  sub->add_option("--seed", o->seed, "Seed of the fine-tuning")->transform(whole(0, UINT64_MAX))->capture_default_str();
  sub->add_flag("--force", o->force, "Replace files in DIR even if no earlier demo wrote them");
  sub->add_flag("--data-only", o->data_only, "Write the checkpoint, its architecture and the digits as .npy, and stop");
  sub->callback([&app, o] { app.action = [&app, o] { return Demo(app, *o).run(); }; });
}

}  // namespace coppice::cli
