#include "layer_plan.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"
#include "coppice/nn/parametrize.h"
#include "coppice/sparsity/prunables.h"
#include "coppice/sparsity/sparsifier/global_norm.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "coppice/sparsity/tied.h"

namespace coppice::sparsity {
namespace {

constexpr double kSameLevel = 1e-9;  // a level that was written as decimals

Block block_of(const FinetuneOptions& o) { return o.block.value_or(Block{1, 1}); }

/// Why a tensor cannot be pruned as the options say; empty if it can.
std::string unfit(const Tensor& weight, const FinetuneOptions& o) {
  if (weight.numel() == 0) return "it has no entries";
  if (weight.dim() < 2) return "it has one axis only";
  const std::int64_t rows = weight.size(0), cols = weight.numel() / rows;
  if (o.pattern) return cols % o.pattern->m == 0 ? "" : cat(*o.pattern, " does not divide its rows of ", cols);
  const Block block = block_of(o);
  if (rows < block.rows) return cat("too narrow for blocks of ", block, ": it has ", rows, " outputs");
  if (cols < block.cols) return cat("too narrow for blocks of ", block, ": its rows have ", cols);
  return "";
}

/// Where each tensor stands in the model.
using Places = std::map<const void*, std::vector<const Prunable*>>;

Places places_of(const std::vector<Prunable>& all) {
  Places out;
  for (const Prunable& p : all) out[memory_of(p)].push_back(&p);
  return out;
}

/// @throws ValueError  if it stands elsewhere too: it would get a mask for each place, or miss one there
void check_alone(const Prunable& p, const Places& places) {
  if (p.value().numel() == 0) return;  // all of them have no memory
  for (const Prunable* const other : places.at(memory_of(p)))
    if (other->name != p.name)
      throw ValueError(cat("[finetune] groups: the tensor of ", quote(p.name), " is that of ", quote(other->name),
                           " too; a tensor that stands in several places cannot be pruned"));
}

SparsifierFactory global_norm(double level, const Block& block, TieRule ties) {
  return [=] { return std::make_unique<GlobalNormSparsifier>(level, block, 2, ties); };
}

/// The settings of a group, all of them, so that the sparsifier's own defaults do not matter: PyTorch's, whose zeros
/// per block are those of its block of 1x4 in blocks of other shapes too.
Arguments completed(Arguments group) {
  if (!group.has("sparsity_level")) group.set("sparsity_level", 0.5);
  if (!group.has("sparse_block_shape")) group.set("sparse_block_shape", std::vector<std::int64_t>{1, 4});
  if (!group.has("zeros_per_block")) group.set("zeros_per_block", Block{}.size());
  const Block block = read_sparse_block_shape(group);
  if (group.integer("zeros_per_block") > block.size())
    throw ValueError(cat("[finetune] groups: ", quote(group.text("tensor_fqn")), " has blocks of ", block, " and ",
                         group.integer("zeros_per_block"), " zeros_per_block, which are ", Block{}.size(),
                         " unless given, as in PyTorch"));
  return group;
}

LayerPlan plan_groups(const std::vector<Prunable>& all, const FinetuneOptions& o) {
  LayerPlan out;
  const Places places = places_of(all);
  for (const Arguments& group : o.groups) {
    const std::string name = group.text("tensor_fqn");
    const auto found = std::ranges::find(all, name, &Prunable::name);
    if (found == all.end()) throw KeyError(cat("[finetune] groups: ", quote(name), " is no parameter of the model"));
    if (found->value().dim() < 2)
      throw ShapeError(cat("[finetune] groups: ", quote(name), " of shape ", found->value().shape(),
                           " has no blocks: they need two axes"));
    check_alone(*found, places);
    out.config.push_back(completed(group));
  }
  for (const Prunable& p : all) {
    const bool listed = out.prunes(p.name);
    if (!listed && !is_prunable(p.name, p.value())) continue;
    out.layers.push_back({p.name, p.value().numel(), 0, listed ? "" : "not in the list of groups"});
  }
  out.sparsifier = [ties = o.ties] {
    return std::make_unique<WeightNormSparsifier>(0.5, Block{}, std::nullopt, 2, ties);
  };
  return out;
}

}  // namespace

bool by_sparsifier(const FinetuneOptions& o) {
  return o.block || o.pattern || !o.groups.empty() || o.curve != Curve::cubic;
}

void check_plan(const FinetuneOptions& o) {
  const auto refuse = [](const auto&... text) { throw ValueError(cat("[finetune] ", text...)); };
  if (o.pattern) o.pattern->check();
  if (o.block && (o.block->rows < 1 || o.block->cols < 1))
    refuse("the sides of a block must be at least 1; got ", *o.block);
  if ((o.block ? 1 : 0) + (o.pattern ? 1 : 0) + (o.groups.empty() ? 0 : 1) > 1)
    refuse("block, pattern and groups exclude each other");
  if (!o.groups.empty() && o.sparsity) refuse("groups have levels of their own: sparsity must be absent");
  if (o.pattern && o.sparsity && std::abs(*o.sparsity - o.pattern->sparsity()) > kSameLevel)
    refuse("a pattern of ", *o.pattern, " is a sparsity of ", o.pattern->sparsity(), "; got ", *o.sparsity);
  if (!o.sparsity && !o.pattern && o.groups.empty()) refuse("blocks and a curve need a sparsity to reach");
}

bool LayerPlan::prunes(const std::string& name) const {
  return std::ranges::any_of(config, [&](const Arguments& group) { return group.text("tensor_fqn") == name; });
}

LayerPlan plan_layers(nn::Module& model, const FinetuneOptions& o, const WeightFilter& filter) {
  const std::vector<Prunable> all = prunables_of(model);
  if (!o.groups.empty()) return plan_groups(all, o);
  const Places places = places_of(all);
  LayerPlan out;
  std::int64_t chosen = 0, fit = 0;
  for (const Prunable& p : all) {
    const Tensor weight = p.value();
    const bool taken = filter(p.name, weight);
    if (!taken && !is_prunable(p.name, weight)) continue;
    if (dynamic_cast<const nn::parametrize::ParametrizationList*>(p.module) != nullptr) continue;
    std::string reason = taken ? unfit(weight, o) : "not selected";
    if (reason.empty() && places.at(memory_of(p)).size() > 1) reason = "its tensor stands in several places";
    if (taken) chosen += weight.numel();
    if (reason.empty()) {
      fit += weight.numel();
      out.config.push_back({{"tensor_fqn", p.name}});
    }
    out.layers.push_back({p.name, weight.numel(), 0, std::move(reason)});
  }
  if (out.config.empty()) {
    std::string why;
    for (const LayerReport& l : out.layers) why += cat(why.empty() ? ": " : "; ", quote(l.name), " ", l.dense_because);
    throw ValueError(cat("[finetune] no weight can be pruned", why));
  }
  if (o.pattern) {
    for (Arguments& group : out.config) group.set("sparsity_level", 1.0);
    out.sparsifier = [pattern = *o.pattern, ties = o.ties] { return std::make_unique<NmSparsifier>(pattern, ties); };
    return out;
  }
  const double wanted = *o.sparsity * static_cast<double>(chosen), level = wanted / static_cast<double>(fit);
  if (level > 1 + kSameLevel)
    throw ValueError(cat("[finetune] sparsity ", *o.sparsity, " of ", chosen,
                         " weights cannot be reached: those that take blocks of ", block_of(o), " have ", fit));
  out.sparsifier = global_norm(std::min(level, 1.0), block_of(o), o.ties);
  return out;
}

void take_plain(nn::Module& model, const LayerPlan& plan) {
  for (const Prunable& p : prunables_of(model))
    if (plan.prunes(p.name))
      while (nn::is_masked(*p.module, p.slot)) nn::burn_in_mask(*p.module, p.slot);
}

void leave_masks(const BaseSparsifier& sparsifier) {
  const NoGrad guard;
  for (const Group& group : sparsifier.groups()) {
    Tensor original = group.original();
    const Tensor mask = group.mask().to(original.dtype());
    nn::Module& module = group.module();
    original.copy_(where(mask, original, zeros_like(original)));
    nn::parametrize::remove_parametrizations(module, group.tensor_name(), false);
    nn::set_mask(module, group.tensor_name(), mask);
  }
}

std::vector<LayerReport> counted(nn::Module& model, std::vector<LayerReport> layers) {
  const std::vector<Prunable> all = prunables_of(model);
  for (LayerReport& layer : layers) {
    const auto found = std::ranges::find(all, layer.name, &Prunable::name);
    if (found != all.end()) layer.zeros = layer.weights - count_nonzero(found->value());
  }
  return layers;
}

}  // namespace coppice::sparsity
