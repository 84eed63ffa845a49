#include <cmath>

#include "../prunables.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/random.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"
#include "coppice/sparsity/prune/prune.h"

namespace coppice::cli {
namespace {

namespace methods = sparsity::prune;
using sparsity::Prunable;

const std::vector<std::string> kMethods{"l1_unstructured",   "random_unstructured", "ln_structured",
                                        "random_structured", "global_l1",           "global_random"};

struct Options {
  std::string input, output, method = "l1_unstructured", amount, n = "2", ties = "lowest";
  std::int64_t dim = 0;
  std::uint64_t seed = 0;
  bool keep_masks = false, dry_run = false, force = false, checksums = false;
  const CLI::Option *dim_option = nullptr, *n_option = nullptr;
  NameFilter names;
};

NormOrder parse_order(const std::string& text) {
  try {
    const NormOrder order = NormOrder::parse(text);
    if (std::isnan(order.p)) throw UsageError("--n nan would rank nothing");
    return order;
  } catch (const ValueError&) {
    throw UsageError(cat("--n takes a number, inf, -inf, fro or nuc; got '", text, "'"));
  }
}

std::vector<Prunable> choose(const std::vector<Prunable>& all, const NameFilter& filter) {
  std::vector<std::string> names;
  for (const Prunable& t : all) names.push_back(t.name);
  filter.check_patterns(names);
  std::vector<Prunable> out =
      sparsity::chosen(all, [&](const std::string& name, const Tensor& tensor) { return filter.takes(name, tensor); });
  if (out.empty()) throw KeyError("no tensor is left to prune; see --include");
  return out;
}

/// Calls `prune` so that a refusal names the tensor.
template <class F>
void named(const std::string& name, F prune) {
  const auto text = [&](const Error& e) { return cat("'", printable(name), "': ", e.what()); };
  try {
    prune();
  } catch (const ShapeError& e) {
    throw ShapeError(text(e));
  } catch (const ValueError& e) {
    throw ValueError(text(e));
  } catch (const IndexError& e) {
    throw IndexError(text(e));
  } catch (const TypeError& e) {
    throw TypeError(text(e));
  }
}

void prune(const std::vector<Prunable>& targets, const Options& o, sparsity::Amount amount) {
  Generator generator(o.seed);
  const TieRule ties = o.ties == "pytorch" ? TieRule::pytorch : TieRule::lowest_index;
  if (o.method.starts_with("global_")) {
    std::vector<methods::Target> all;
    for (const Prunable& t : targets) all.emplace_back(t.module, t.slot);
    if (o.method == "global_l1")
      methods::global_unstructured(all, methods::L1Unstructured(amount, ties));
    else
      methods::global_unstructured(all, methods::RandomUnstructured(amount, ties, &generator));
    return;
  }
  const NormOrder n = parse_order(o.n);
  for (const Prunable& t : targets)
    named(t.name, [&] {
      if (o.method == "l1_unstructured")
        methods::l1_unstructured(*t.module, t.slot, amount, {}, ties);
      else if (o.method == "random_unstructured")
        methods::random_unstructured(*t.module, t.slot, amount, ties, &generator);
      else if (o.method == "ln_structured")
        methods::ln_structured(*t.module, t.slot, amount, n, o.dim, {}, ties);
      else
        methods::random_structured(*t.module, t.slot, amount, o.dim, ties, &generator);
    });
}

struct Row {
  std::string name;
  Shape shape;
  std::int64_t zeros, elements, pruned;  ///< pruned: entries that the mask takes
};

std::vector<Row> rows_of(const std::vector<Prunable>& targets) {
  std::vector<Row> rows;
  for (const Prunable& t : targets) {
    const Tensor value = t.value();
    rows.push_back({t.name, value.shape(), value.numel() - count_nonzero(value), value.numel(),
                    value.numel() - count_nonzero(t.module->tensor(nn::mask_of(t.slot)))});
  }
  return rows;
}

void report(const App& app, const Options& o, const std::vector<Row>& rows) {
  Table table{{"tensor", "shape", "zeros", "of", "share"}, {}};
  Json list = Json::array();
  std::int64_t zeros = 0, total = 0;
  for (const Row& r : rows) {
    zeros += r.zeros;
    total += r.elements;
    const double share = r.elements == 0 ? 0 : static_cast<double>(r.zeros) / static_cast<double>(r.elements);
    if (!app.json)
      table.rows.push_back(
          {printable(r.name), to_string(r.shape), grouped(r.zeros), grouped(r.elements), percent(share)});
    else
      list.push_back({{"name", r.name}, {"zeros", r.zeros}, {"elements", r.elements}, {"pruned", r.pruned}});
  }
  const double share = total == 0 ? 0 : static_cast<double>(zeros) / static_cast<double>(total);
  if (app.json) {
    print("coppice.prune/1", {{"output", o.dry_run ? Json() : Json(o.output)},
                              {"method", o.method},
                              {"amount", o.amount},
                              {"seed", o.seed},
                              {"ties", o.ties},
                              {"tensors", std::move(list)},
                              {"zeros", zeros},
                              {"elements", total},
                              {"sparsity", share}});
    return;
  }
  table.rows.push_back({"total", "", grouped(zeros), grouped(total), percent(share)});
  print(table.text());
  if (o.dry_run)
    print("dry run: nothing was written");
  else
    print(cat(o.output, ": ", grouped(static_cast<std::int64_t>(file_size(o.output))), " bytes"));
}

int run(const App& app, const Options& o) {
  interrupt_at_once();
  if (!o.method.ends_with("_structured")) only_with(*o.dim_option, "ln_structured and random_structured");
  if (o.method != "ln_structured") only_with(*o.n_option, "ln_structured");
  sparsity::Amount amount = 0;
  try {
    amount = sparsity::Amount::parse(o.amount);
  } catch (const ValueError& e) {
    throw UsageError(cat("--amount: ", e.what()));
  }
  (void)parse_order(o.n);
  if (!o.dry_run) check_output(o.output, files_behind(app, o.input), o.force);

  SafetensorsWriteOptions options;
  if (!o.dry_run) options = write_options(o.output, o.checksums);
  Prunables input(app, o.input);
  options.checksums = options.checksums || input.carried_checksums();
  if (input.is_model() && !o.dry_run) writes_safetensors(o.output);
  const std::vector<Prunable> targets = choose(input.all(), o.names);
  for (const Prunable& t : targets)
    if (any(isnan(t.value())).item<bool>())
      note(app, cat("note: ", printable(t.name), " holds NaN; they rank above every number"));
  {
    NoGrad guard;
    prune(targets, o, amount);
  }
  const std::vector<Row> rows = rows_of(targets);
  if (!o.dry_run) write_output(o.output, [&] { input.save(o.output, o.keep_masks, options); });
  for (const std::string& what : input.skipped()) note(app, cat("left out: ", printable(what)));
  report(app, o, rows);
  return kDone;
}

}  // namespace

void add_prune(App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* sub = app.command(
      "prune",
      "Prunes the weights of a model file or of a bare checkpoint in one shot, with PyTorch's semantics. A model stays "
      "a\n"
      "model; a checkpoint keeps its tensor names, and one in shards becomes one file. Where masks are there already, "
      "the\n"
      "amount counts what they leave.",
      "  coppice prune model.safetensors -o pruned.safetensors --method global_l1 --amount 0.9\n"
      "  coppice prune weights.pt -o pruned.safetensors --method ln_structured --amount 2 --n 2 --dim 0 --keep-masks");
  sub->add_option("IN", o->input, "Model file, or .pt, .pth, .safetensors, .safetensors.index.json, .npz")->required();
  sub->add_option("-o,--output", o->output, "File to write");
  sub->add_option("--method", o->method, "How to choose")->check(CLI::IsMember(kMethods))->capture_default_str();
  sub->add_option("--amount", o->amount,
                  "How much: with a point or exponent a fraction (0.9), else a count of elements or slices; of all "
                  "tensors together for the global methods")
      ->required();
  o->n_option = sub->add_option("--n", o->n, "ln_structured: order of the norm: any number, inf, -inf, fro, nuc")
                    ->capture_default_str();
  o->dim_option = sub->add_option("--dim", o->dim, "Structured methods: the axis whose slices go")
                      ->transform(whole(INT64_MIN, INT64_MAX))
                      ->capture_default_str();
  sub->add_option("--seed", o->seed, "Random methods: torch.manual_seed of the stream")
      ->transform(whole(0, UINT64_MAX))
      ->capture_default_str();
  sub->add_option("--ties", o->ties, "Which of equal scores goes: the lowest index, or what PyTorch takes")
      ->check(CLI::IsMember({"lowest", "pytorch"}))
      ->capture_default_str();
  o->names.add_options(sub);
  sub->add_flag("--keep-masks", o->keep_masks, "Write X_orig and X_mask instead of their product");
  sub->add_flag("--checksums", o->checksums,
                "Write a CRC-32 of every tensor into the metadata of a .safetensors; model files always have them");
  sub->add_flag("--dry-run", o->dry_run, "Show what would be pruned and write nothing");
  sub->add_flag("--force", o->force, "Replace an existing output");
  sub->callback([&app, o] {
    if (o->output.empty() && !o->dry_run) throw CLI::RequiredError("--output (or --dry-run)");
    app.action = [&app, o] { return run(app, *o); };
  });
}

}  // namespace coppice::cli
