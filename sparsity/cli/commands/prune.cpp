#include <set>
#include <string_view>

#include "../prunables.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"
#include "packed.h"
#include "prune/choice.h"
#include "prune/methods.h"
#include "prune/report.h"
#include "prune/sparsifiers.h"

namespace coppice::cli {
namespace {

using sparsity::Prunable;

struct Options {
  std::string input, output, ties = "lowest";
  bool keep_masks = false, dry_run = false, force = false, checksums = false;
  const CLI::Option* ties_option = nullptr;
  MethodOptions method;
  SparsifierOptions sparsifier;
  NameFilter names;
  MemoryLimit memory;

  void check() const {
    sparsifier.check(*ties_option);
    if (sparsifier.given())
      method.refuse_all();
    else
      method.check();
  }
  /// What the document says of how it was done.
  [[nodiscard]] Json described() const {
    Json out{{"method", nullptr}, {"amount", nullptr}, {"seed", nullptr}, {"sparsifier", nullptr}};
    out.update(sparsifier.given() ? sparsifier.described() : method.described());
    out["ties"] = ties;
    return out;
  }
  /// @param done  called for each target that is pruned
  [[nodiscard]] std::vector<Left> prune(const std::vector<Prunable>& targets, const Outcome& done) const {
    const NoGrad guard;
    if (sparsifier.given()) return sparsifier.prune(targets, rule(), names.include.empty(), done);
    method.prune(targets, rule(), done);
    return {};
  }
  [[nodiscard]] MethodMemory memory_of_method(const std::vector<Prunable>& targets) const {
    return sparsifier.given() ? sparsifier.memory(rule()) : method.memory(targets, rule());
  }
  [[nodiscard]] TieRule rule() const { return ties == "pytorch" ? TieRule::pytorch : TieRule::lowest_index; }
};

int run(App& app, Options& o) {
  interrupt_at_once();
  o.check();
  if (!o.dry_run) check_output(o.output, files_behind(app, o.input), o.force);

  SafetensorsWriteOptions options;
  if (!o.dry_run) options = write_options(o.output, o.checksums);
  o.memory.before_reading(app, o.input);
  Prunables input(app, o.input);
  options.checksums = options.checksums || input.carried_checksums();
  if (input.is_model() && !o.dry_run) writes_safetensors(o.output);
  Choice choice = choose(input.all(), input.packed(), o.names, o.input, o.dry_run);
  o.memory.plan(input, choice.targets, o.memory_of_method(choice.targets), o.dry_run || Prunables::in_pieces(o.output));
  std::set<std::string_view> looked_at;  // whether they hold NaN
  const auto look_at = [&](const Prunable& t, bool nan) {
    if (looked_at.insert(t.name).second && nan)
      note(app, cat("note: ", printable(t.name), " holds NaN; they rank above every number"));
  };
  const auto holds_nan = [](const Tensor& values) { return any(isnan(values)).item<bool>(); };
  const auto takes_bits = [&](const Prunable& t) { return input.takes_bits(t); };
  for (const Prunable& t : choice.targets) {
    if (takes_bits(t)) continue;  // it is looked at when its entries are counted
    look_at(t, holds_nan(t.value()));
    if (!nn::is_masked(*t.module, t.slot)) input.settle(t);
  }
  std::vector<PrunedRow> rows;
  const auto take_bits = [&](const Prunable& t, const Tensor& bits) {
    const sparsity::prune::MaskedCounts counts = sparsity::prune::count_masked(t.value(), bits);
    look_at(t, counts.nan);
    rows.push_back(pruned_row(choice, t, counts));
    input.set_bits(t, bits);
  };
  const auto settle = [&](const Prunable& t) {
    if (!looked_at.contains(t.name)) look_at(t, holds_nan(t.module->tensor(nn::original_of(t.slot)).detach()));
    rows.push_back(pruned_row(choice, t));
    input.settle(t);
  };
  const std::vector<Left> left = o.prune(choice.targets, {takes_bits, take_bits, settle, o.memory.window()});
  for (const Prunable& t : choice.targets)  // what was left too
    if (!looked_at.contains(t.name)) look_at(t, holds_nan(t.value()));
  choice.share_masks();
  for (const std::vector<Prunable>& group : choice.tied)
    for (const Prunable& t : group) input.settle(t);
  if (!o.dry_run) write_output(o.output, [&] { input.save(o.output, o.keep_masks, options); });
  for (const std::string& what : input.skipped()) note(app, cat("left out: ", printable(what)));
  note_tied(app, rows);
  if (!o.sparsifier.given() && o.method.is_global())
    note_nearly_empty(app, rows, "; --keep-at-least leaves each tensor a share");
  note_packed(app, input.packed(), o.input);
  report_pruned(app, o.dry_run ? "" : o.output, o.described(), rows, left, choice.left, o.memory);
  return kDone;
}

}  // namespace

void add_prune(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "prune",
      "Prunes the weights of a model file or of a bare checkpoint in one shot, with PyTorch's semantics: by a method\n"
      "of torch.nn.utils.prune, or by a sparsifier of torch.ao.pruning. A model stays a model; a checkpoint keeps its\n"
      "tensor names, and one in shards becomes one file. Where masks are there already, what they prune stays pruned:\n"
      "the amount counts what they leave, the level of a sparsifier all. A tensor of several names has one mask.",
      "  coppice prune model.safetensors -o pruned.safetensors --method global_l1 --amount 0.9\n"
      "  coppice prune weights.pt -o pruned.safetensors --method ln_structured --amount 2 --n 2 --dim 0 --keep-masks\n"
      "  coppice prune model.safetensors -o pruned.safetensors --sparsifier weight_norm --block 16x1 "
      "--sparsity-level 0.9");
  sub->add_option("IN", o->input, "Model file, or .pt, .pth, .safetensors, .safetensors.index.json, .npz")->required();
  sub->add_option("-o,--output", o->output, "File to write");
  o->method.add_options(sub);
  o->sparsifier.add_options(sub);
  o->ties_option =
      sub->add_option("--ties", o->ties, "Which of equal scores goes: the lowest index, or what PyTorch takes")
          ->check(CLI::IsMember({"lowest", "pytorch"}))
          ->capture_default_str();
  o->names.add_options(sub);
  sub->add_flag("--keep-masks", o->keep_masks, "Write X_orig and X_mask instead of their product");
  sub->add_flag("--checksums", o->checksums,
                "Write a CRC-32 of every tensor into the metadata of a .safetensors; model files always have them");
  sub->add_flag("--dry-run", o->dry_run,
                "Show what would be pruned, and why each other tensor would not, and write nothing");
  o->memory.add_options(sub);
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] {
    if (!o->sparsifier.given() && !o->method.has_amount()) throw CLI::RequiredError("--amount");
    if (o->output.empty() && !o->dry_run) throw CLI::RequiredError("--output (or --dry-run)");
    app.action = [&app, o] { return run(app, *o); };
  });
}

}  // namespace coppice::cli
