#include "prune/methods.h"

#include <algorithm>
#include <cmath>

#include "app.h"
#include "coppice/engine/error.h"
#include "coppice/engine/random.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/sparsity/prune/global_floor.h"
#include "coppice/sparsity/prune/prune.h"
#include "coppice/sparsity/prune/streamed.h"

namespace coppice::cli {
namespace {

namespace methods = sparsity::prune;
using sparsity::Prunable;

const std::vector<std::string> kMethods{"l1_unstructured",   "random_unstructured", "ln_structured",
                                        "random_structured", "global_l1",           "global_random"};

NormOrder parse_order(const std::string& text) {
  try {
    const NormOrder order = NormOrder::parse(text);
    if (std::isnan(order.p)) throw UsageError("--n nan would rank nothing");
    return order;
  } catch (const ValueError&) {
    throw UsageError(cat("--n takes a number, inf, -inf, fro or nuc; got '", text, "'"));
  }
}

sparsity::Amount parse_amount(const std::string& text) {
  try {
    return sparsity::Amount::parse(text);
  } catch (const ValueError& e) {
    throw UsageError(cat("--amount: ", e.what()));
  }
}

/// Whether global_l1_masks() gives the masks of these: tensors of a checkpoint, without masks.
bool streams(const std::vector<Prunable>& targets, TieRule ties) {
  return ties == TieRule::lowest_index && std::ranges::all_of(targets, [](const Prunable& t) {
           const Tensor value = t.value();
           return t.of_checkpoint && !nn::is_masked(*t.module, t.slot) && is_floating(value.dtype()) &&
                  value.dtype() != Dtype::f64;
         });
}

void prune_streamed(const std::vector<Prunable>& targets, const sparsity::Amount& amount) {
  TensorList values;
  for (const Prunable& t : targets) values.push_back(t.value());
  const TensorList masks = methods::global_l1_masks(values, amount);
  for (std::size_t i = 0; i < targets.size(); ++i) nn::set_mask(*targets[i].module, targets[i].slot, masks[i]);
}

}  // namespace

void MethodOptions::add_options(CLI::App* sub) {
  method_option_ =
      sub->add_option("--method", method_, "How to choose")->check(CLI::IsMember(kMethods))->capture_default_str();
  amount_option_ = sub->add_option("--amount", amount_,
                                   "How much, needed by every method: with a point or exponent a fraction (0.9), else "
                                   "a count of elements or slices; "
                                   "of all tensors together for the global methods");
  n_option_ = sub->add_option("--n", n_, "ln_structured: order of the norm: any number, inf, -inf, fro, nuc")
                  ->capture_default_str();
  dim_option_ = sub->add_option("--dim", dim_, "Structured methods: the axis whose slices go")
                    ->transform(whole(INT64_MIN, INT64_MAX))
                    ->capture_default_str();
  seed_option_ = sub->add_option("--seed", seed_, "Random methods: torch.manual_seed of the stream")
                     ->transform(whole(0, UINT64_MAX))
                     ->capture_default_str();
  keep_option_ = sub->add_option("--keep-at-least", keep_,
                                 "Global methods: the share of its entries that each tensor keeps, whatever the others "
                                 "have (default: none, as PyTorch)")
                     ->check(finite(0, 1));
}

bool MethodOptions::has_amount() const { return amount_option_->count() > 0; }

void MethodOptions::check() const {
  if (!method_.ends_with("_structured")) only_with(*dim_option_, "ln_structured and random_structured");
  if (!is_global()) only_with(*keep_option_, "global_l1 and global_random");
  if (method_ != "ln_structured") only_with(*n_option_, "ln_structured");
  (void)parse_amount(amount_);
  (void)parse_order(n_);
}

void MethodOptions::refuse_all() const {
  if (method_option_->count() > 0) throw UsageError("--method and --sparsifier exclude each other");
  for (const CLI::Option* option : {amount_option_, n_option_, dim_option_, seed_option_, keep_option_})
    only_with(*option, "--method");
}

void MethodOptions::prune(const std::vector<Prunable>& targets, TieRule ties,
                          const std::function<void(const Prunable&)>& done) const {
  Generator generator(seed_);
  const sparsity::Amount amount = parse_amount(amount_);
  if (is_global()) {
    std::vector<methods::Target> all;
    for (const Prunable& t : targets) all.emplace_back(t.module, t.slot);
    if (method_ == "global_l1" && keep_ == 0 && streams(targets, ties))
      prune_streamed(targets, amount);
    else if (method_ == "global_l1")
      methods::global_l1_keeping(all, amount, keep_, ties);
    else
      methods::global_random_keeping(all, amount, keep_, ties, &generator);
    for (const Prunable& t : targets) done(t);
    return;
  }
  const NormOrder n = parse_order(n_);
  sparsity::for_each(targets, [&](const Prunable& t) {
    if (method_ == "l1_unstructured")
      methods::l1_unstructured(*t.module, t.slot, amount, {}, ties);
    else if (method_ == "random_unstructured")
      methods::random_unstructured(*t.module, t.slot, amount, ties, &generator);
    else if (method_ == "ln_structured")
      methods::ln_structured(*t.module, t.slot, amount, n, dim_, {}, ties);
    else
      methods::random_structured(*t.module, t.slot, amount, dim_, ties, &generator);
    done(t);
  });
}

Json MethodOptions::described() const {
  Json out{{"method", method_}, {"amount", amount_}, {"seed", seed_}};
  if (keep_option_->count() > 0) out["keep_at_least"] = keep_;
  return out;
}

}  // namespace coppice::cli
