#include "coppice/sparsity/sparsifier/weight_norm.h"

#include "blocks/block_mask.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "sparsifier/group_importance.h"
#include "sparsifier/placed.h"
#include "sparsifier/weight_norm_mask.h"

namespace coppice::sparsity {
namespace {

struct Config {
  double level;
  BlockRule rule;
  bool dense;
  /// Nothing has to be chosen: no entry goes, or all do.
  [[nodiscard]] bool nothing() const { return level <= 0 || rule.zeros == 0; }
  [[nodiscard]] bool everything() const { return level >= 1 && rule.zeros == rule.block.size(); }
  /// The rule for a tensor.
  [[nodiscard]] BlockRule rule_for(const Importance& scores) const {
    BlockRule out = rule;
    out.count = count_at_level(level, count_blocks(scores.rows(), scores.cols(), rule.block));
    return out;
  }
};

Config read(const Arguments& settings, TieRule ties) {
  const Config out{
      read_sparsity_level(settings),
      {.block = read_sparse_block_shape(settings), .zeros = settings.integer("zeros_per_block"), .ties = ties},
      settings.boolean("score_dense", false)};
  if (out.rule.zeros < 0 || out.rule.zeros > out.rule.block.size())
    throw ValueError(cat("[WeightNormSparsifier] zeros_per_block must be in 0..", out.rule.block.size(), " (block ",
                         out.rule.block, "); got ", out.rule.zeros));
  return out;
}

/// @param scores  gives them, where something has to be chosen
template <class Scores>
void write(Tensor mask, const Config& config, Scores scores) {
  if (config.nothing()) {
    mask.fill_(1);
  } else if (config.everything()) {
    mask.zero_();
  } else {
    const Importance importance = scores();
    write_block_mask(importance, config.rule_for(importance), mask);
  }
}

/// What entries rank by under the norm of that order.
Importance::Of of_order(int order) { return order == 1 ? Importance::Of::magnitude : Importance::Of::square; }

Arguments settings_of(double level, Block block, std::optional<std::int64_t> zeros) {
  Arguments out;
  out.set("sparsity_level", level);
  out.set("sparse_block_shape", std::vector<std::int64_t>{block.rows, block.cols});
  (void)read_sparse_block_shape(out);
  out.set("zeros_per_block", zeros.value_or(block.size()));
  (void)read(out, TieRule::lowest_index);
  return out;
}

}  // namespace

Tensor weight_norm_mask(const Tensor& values, const Arguments& settings, int order, TieRule ties) {
  const Config config = read(settings, ties);
  Tensor mask = ones(values.shape(), Dtype::boolean);
  write(mask, config, [&] {
    const Importance scores(values.detach(), Tensor(), of_order(order));
    check_cells(scores, config.rule);
    return scores;
  });
  return mask;
}

Importance importance_of(const Group& group, bool dense, const ScoreNorm& norm) {
  if (norm.order() != 0) return importance_of(group, dense, of_order(norm.order()));
  return {norm(dense ? group.original() : group.weight()), Tensor(), Importance::Of::value};
}

ScoreNorm::ScoreNorm(int order) : order_(order) {
  if (order != 1 && order != 2) throw ValueError(cat("[ScoreNorm] the order must be 1 or 2; got ", order));
}

ScoreNorm::ScoreNorm(Function function) : function_(std::move(function)) {
  if (!function_) throw ValueError("[ScoreNorm] no function");
}

ScoreNorm::ScoreNorm(const NamedFunction& function)
    : ScoreNorm(registered_function<Tensor(const Tensor&)>(function.name)) {}

Tensor ScoreNorm::operator()(const Tensor& values) const {
  if (order_ == 1) return abs(values);
  if (order_ == 2) return mul(values, values);
  const Tensor scores = function_(values);
  if (scores.shape() != values.shape())
    throw ShapeError(cat("[ScoreNorm] the function gives shape ", scores.shape(), " for ", values.shape()));
  return scores;
}

WeightNormSparsifier::WeightNormSparsifier(double sparsity_level, Block sparse_block_shape,
                                           std::optional<std::int64_t> zeros_per_block, ScoreNorm norm, TieRule ties)
    : BaseSparsifier(settings_of(sparsity_level, sparse_block_shape, zeros_per_block)),
      norm_(std::move(norm)),
      ties_(ties) {}

void WeightNormSparsifier::check_config(const Group& group) const { (void)read(group.config, ties_); }

void WeightNormSparsifier::check_tensor(const Group& group) const {
  const Config config = read(group.config, ties_);
  if (config.nothing() || config.everything()) return;
  check_cells(Importance(group.mask(), Tensor(), Importance::Of::value), config.rule);
}

void WeightNormSparsifier::update_mask(Group& group) {
  const Config config = read(group.config, ties_);
  write(group.mask(), config, [&] { return importance_of(group, config.dense, norm_); });
}

void WeightNormSparsifier::update_masks(std::vector<Group>& groups) {
  if (norm_.order() != 0) return BaseSparsifier::update_masks(groups);
  std::vector<std::optional<Importance>> scores;
  for (const Group& group : groups) {
    const Config config = read(group.config, ties_);
    scores.emplace_back();
    if (!config.nothing() && !config.everything())
      placed(group, [&] { scores.back() = importance_of(group, config.dense, norm_); });
  }
  for (std::size_t i = 0; i < groups.size(); ++i)
    placed(groups[i], [&] { write(groups[i].mask(), read(groups[i].config, ties_), [&] { return *scores[i]; }); });
}

}  // namespace coppice::sparsity
