#include <charconv>
#include <cmath>

#include "../tensors.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/random.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masked.h"
#include "coppice/sparsity/prune/one_shot.h"

namespace coppice::cli {
namespace {

struct Options {
  std::string input, output, method = "l1_unstructured", amount, n = "2", ties = "lowest";
  std::int64_t dim = 0;
  std::uint64_t seed = 0;
  bool keep_masks = false, dry_run = false, force = false;
  NameFilter names;
};

NormOrder parse_order(const std::string& text) {
  if (text == "fro") return NormOrder::Word::fro;
  if (text == "nuc") return NormOrder::Word::nuc;
  double p = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), p);  // takes inf and -inf as well
  if (error != std::errc() || at != text.data() + text.size())
    throw UsageError(cat("--n takes a number, inf, -inf, fro or nuc; got '", text, "'"));
  return p;
}

/// A weight that can be pruned, in a model or in a bare checkpoint.
struct Target {
  std::string name;
  Tensor value;                 ///< what the ranking sees: mask * orig where there is a mask
  nn::Module* module = nullptr; ///< of a model
  std::string slot;             ///< name in the module
};

std::vector<Target> all_targets(const Loaded& input, const NamedTensors& folded) {
  std::vector<Target> out;
  if (input.model == nullptr) {
    for (const auto& [name, tensor] : folded) out.push_back({name, tensor, nullptr, ""});
    return out;
  }
  NoGrad guard;
  for (const auto& [path, module] : input.model->named_modules())
    for (const auto& [name, tensor] : module->own_parameters()) {
      if (!tensor.defined()) continue;
      const std::string base = name.ends_with("_orig") ? name.substr(0, name.size() - 5) : name;
      const std::string slot = nn::is_masked(*module, base) ? base : name;
      out.push_back({path.empty() ? slot : path + "." + slot, module->tensor(slot).detach(), module, slot});
    }
  return out;
}

std::vector<Target> choose(const std::vector<Target>& all, const NameFilter& filter) {
  std::vector<std::string> names;
  std::vector<Target> out;
  for (const Target& t : all) {
    names.push_back(t.name);
    if (filter.takes(t.name, t.value)) out.push_back(t);
  }
  filter.check_patterns(names);
  if (out.empty()) throw FormatError("no tensor is left to prune; see --include");
  return out;
}

void apply_to_model(const Target& t, const Tensor& mask, bool keep_masks) {
  NoGrad guard;
  if (keep_masks || nn::is_masked(*t.module, t.slot)) {
    nn::attach_mask(*t.module, t.slot, mask);
    if (!keep_masks) nn::burn_in_mask(*t.module, t.slot);
    return;
  }
  Tensor parameter = t.module->tensor(t.slot);
  parameter.copy_(nn::apply_mask(parameter, mask));
}

/// The checkpoint with products, or with X_orig and X_mask (of the type of X, as PyTorch writes them).
NamedTensors masked_checkpoint(const NamedTensors& folded, const NamedTensors& original,
                               const std::vector<Target>& targets, const TensorList& masks, bool keep_masks) {
  NoGrad guard;
  NamedTensors out;
  for (const auto& [name, tensor] : folded) {
    std::size_t i = 0;
    while (i < targets.size() && targets[i].name != name) ++i;
    if (i == targets.size()) {
      out.add(name, tensor);
    } else if (keep_masks) {
      const Tensor* before = original.find(name + "_mask");
      const Tensor* orig = original.find(name + "_orig");
      const bool again = before != nullptr && orig != nullptr;
      out.add(name + "_orig", again ? *orig : tensor);
      out.add(name + "_mask", again ? nn::apply_mask(*before, masks[i]) : masks[i]);
    } else {
      out.add(name, nn::apply_mask(tensor, masks[i]));
    }
  }
  for (const auto& [key, text] : original.metadata()) out.metadata()[key] = text;
  return out;
}

void report(const App& app, const Options& o, const std::vector<Target>& targets, const TensorList& masks) {
  Table table{{"tensor", "shape", "zeros", "of", "share"}, {}};
  Json list = Json::array();
  std::int64_t zeros = 0, total = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const Tensor product = nn::apply_mask(targets[i].value, masks[i]);
    const std::int64_t n = product.numel();
    const std::int64_t zero = n - count_nonzero(product);
    zeros += zero;
    total += n;
    table.rows.push_back({targets[i].name, to_string(product.shape()), grouped(zero), grouped(n),
                          percent(sparsity::sparsity_of(product))});
    list.push_back({{"name", targets[i].name}, {"zeros", zero}, {"elements", n},
                    {"pruned", n - count_nonzero(masks[i])}});
  }
  const double share = total == 0 ? 0 : static_cast<double>(zeros) / static_cast<double>(total);
  if (app.json) {
    print("coppice.prune/1", {{"output", o.dry_run ? Json() : Json(o.output)}, {"method", o.method},
                              {"amount", o.amount}, {"seed", o.seed}, {"ties", o.ties}, {"tensors", list},
                              {"zeros", zeros}, {"elements", total}, {"sparsity", share}});
    return;
  }
  table.rows.push_back({"total", "", grouped(zeros), grouped(total), percent(share)});
  print(table.text());
  if (o.dry_run) print("dry run: nothing was written");
  else print(cat(o.output, ": ", grouped(static_cast<std::int64_t>(file_size(o.output))), " bytes"));
}

int run(const App& app, const Options& o) {
  interrupt_at_once();
  sparsity::PruneRequest request;
  request.method = *sparsity::prune_method_from_name(o.method);
  try {
    request.amount = sparsity::Amount::parse(o.amount);
  } catch (const ValueError& e) {
    throw UsageError(cat("--amount: ", e.what()));
  }
  request.n = parse_order(o.n);
  request.dim = o.dim;
  request.ties = o.ties == "pytorch" ? TieRule::pytorch : TieRule::lowest_index;
  if (!o.dry_run) check_output(o.output, files_behind(o.input), o.force);

  const Loaded input = load_any(app, o.input);
  const NamedTensors folded = input.model == nullptr ? fold_masks(input.tensors) : NamedTensors();
  const std::vector<Target> targets = choose(all_targets(input, folded), o.names);
  for (const Target& t : targets)
    if (any(isnan(t.value)).item<bool>()) note(app, cat("note: ", t.name, " holds NaN; they rank above every number"));
  TensorList weights;
  std::vector<std::string> names;
  for (const Target& t : targets) weights.push_back(t.value), names.push_back(t.name);
  Generator generator(o.seed);
  const TensorList masks = sparsity::prune_masks(weights, request, generator, names);

  if (!o.dry_run && input.model != nullptr) {
    for (std::size_t i = 0; i < targets.size(); ++i) apply_to_model(targets[i], masks[i], o.keep_masks);
    write_output(o.output, [&] { nn::save_model(*input.model, o.output); });
  } else if (!o.dry_run) {
    const NamedTensors out = masked_checkpoint(folded, input.tensors, targets, masks, o.keep_masks);
    write_output(o.output, [&] { save_tensors(o.output, out); });
  }
  report(app, o, targets, masks);
  return kDone;
}

}  // namespace

void add_prune(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "prune",
      "Prunes the weights of a model file or of a bare checkpoint in one shot, with PyTorch's semantics. A model stays a\n"
      "model; a checkpoint keeps its tensor names, and one in shards becomes one file.",
      "  coppice prune model.safetensors -o pruned.safetensors --method global_l1 --amount 0.9\n"
      "  coppice prune weights.pt -o pruned.safetensors --method ln_structured --amount 2 --n 2 --dim 0 --keep-masks");
  sub->add_option("IN", o->input, "Model file, or .pt, .pth, .safetensors, .safetensors.index.json, .npz")->required();
  sub->add_option("-o,--output", o->output, "File to write");
  sub->add_option("--method", o->method, "How to choose")
      ->check(CLI::IsMember(sparsity::prune_method_names()))
      ->capture_default_str();
  sub->add_option("--amount", o->amount,
                  "How much: with a point or exponent a fraction (0.9), else a count of elements or slices; of all "
                  "tensors together for the global methods")
      ->required();
  sub->add_option("--n", o->n, "ln_structured: order of the norm: any number, inf, -inf, fro, nuc")->capture_default_str();
  sub->add_option("--dim", o->dim, "Structured methods: the axis whose slices go")->capture_default_str();
  sub->add_option("--seed", o->seed, "Random methods: torch.manual_seed of the stream")->capture_default_str();
  sub->add_option("--ties", o->ties, "Which of equal scores goes: the lowest index, or what PyTorch takes")
      ->check(CLI::IsMember({"lowest", "pytorch"}))
      ->capture_default_str();
  o->names.add_options(sub);
  sub->add_flag("--keep-masks", o->keep_masks, "Write X_orig and X_mask instead of their product");
  sub->add_flag("--dry-run", o->dry_run, "Show what would be pruned and write nothing");
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] {
    if (o->output.empty() && !o->dry_run) throw CLI::RequiredError("--output (or --dry-run)");
    app.action = [&app, o] { return run(app, *o); };
  });
}

}  // namespace coppice::cli
