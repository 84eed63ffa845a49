#include "prune/methods.h"

#include <algorithm>
#include <cmath>

#include "app.h"
#include "coppice/engine/error.h"
#include "coppice/engine/random.h"
#include "coppice/nn/bits.h"
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

/// Whether global_l1_bits() takes them.
bool streams(const Tensor& value) { return is_floating(value.dtype()) && value.dtype() != Dtype::f64; }

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

methods::MethodPtr MethodOptions::method(TieRule ties, Generator& generator) const {
  const sparsity::Amount amount = parse_amount(amount_);
  if (method_ == "l1_unstructured") return std::make_shared<methods::L1Unstructured>(amount, ties);
  if (method_ == "random_unstructured") return std::make_shared<methods::RandomUnstructured>(amount, ties, &generator);
  if (method_ == "ln_structured") return std::make_shared<methods::LnStructured>(amount, parse_order(n_), dim_, ties);
  return std::make_shared<methods::RandomStructured>(amount, dim_, ties, &generator);
}

void MethodOptions::prune(const std::vector<Prunable>& targets, TieRule ties, const Outcome& done) const {
  Generator generator(seed_);
  const sparsity::Amount amount = parse_amount(amount_);
  const bool lowest = ties == TieRule::lowest_index;
  if (!is_global()) {
    const methods::MethodPtr each = method(ties, generator);
    return sparsity::for_each(targets, [&](const Prunable& t) {
      if (!done.takes_bits(t)) {
        methods::apply(*t.module, t.slot, each);
        return done.masked(t);
      }
      const Tensor value = t.value();
      if (method_ == "l1_unstructured" && lowest && streams(value))
        done.bits(t, methods::global_l1_bits({value}, amount, done.window)[0]);
      else
        done.bits(t, nn::pack_bits(each->first_mask(value, Dtype::boolean)));
    });
  }
  const bool streamed =
      method_ == "global_l1" && keep_ == 0 && lowest &&
      std::ranges::all_of(targets, [&](const auto& t) { return done.takes_bits(t) && streams(t.value()); });
  if (streamed) {
    TensorList values;
    for (const Prunable& t : targets) values.push_back(t.value());
    const TensorList bits = methods::global_l1_bits(values, amount, done.window);
    for (std::size_t i = 0; i < targets.size(); ++i) done.bits(targets[i], bits[i]);
    return;
  }
  std::vector<methods::Target> all;
  for (const Prunable& t : targets) all.emplace_back(t.module, t.slot);
  if (method_ == "global_l1")
    methods::global_l1_keeping(all, amount, keep_, ties);
  else
    methods::global_random_keeping(all, amount, keep_, ties, &generator);
  for (const Prunable& t : targets) done.masked(t);
}

MethodMemory MethodOptions::memory(const std::vector<Prunable>& targets, TieRule ties) const {
  using Way = MethodMemory::Way;
  const bool lowest = ties == TieRule::lowest_index;
  const bool streamed =
      lowest && keep_ == 0 && std::ranges::all_of(targets, [](const Prunable& t) { return streams(t.value()); });
  if (streamed && method_ == "global_l1") return {.way = Way::streamed, .together = true};
  if (streamed && method_ == "l1_unstructured") return {.way = Way::streamed};
  if (is_global()) return {.way = Way::whole};
  constexpr std::uint64_t kNumbers = 16;  // draws, norms and masks of numbers, of up to eight bytes
  constexpr std::uint64_t kSorted = 32;   // what TieRule::pytorch sorts
  return {.way = Way::single, .per_entry = kNumbers + (lowest ? 0 : kSorted)};
}

Json MethodOptions::described() const {
  Json out{{"method", method_}, {"amount", amount_}, {"seed", seed_}};
  if (keep_option_->count() > 0) out["keep_at_least"] = keep_;
  return out;
}

}  // namespace coppice::cli
