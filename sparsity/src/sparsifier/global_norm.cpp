#include "coppice/sparsity/sparsifier/global_norm.h"

#include <algorithm>
#include <cmath>

#include "blocks/block_mask.h"
#include "coppice/engine/ops/select.h"
#include "sparsifier/group_importance.h"
#include "sparsifier/placed.h"

namespace coppice::sparsity {
namespace {

/// The blocks of one tensor.
struct Blocks {
  Group* group;
  Importance importance;
  Block block;
  Tensor scores;  // [down, across]

  [[nodiscard]] std::int64_t entries() const { return importance.rows() * importance.cols(); }
  /// Entries of the blocks that `keep` gives up.
  [[nodiscard]] std::int64_t pruned(const Tensor& keep) const {
    const std::span<const bool> kept = keep.data<bool>();
    const std::int64_t down = scores.size(0), across = scores.size(1);
    std::int64_t out = 0;
    for (std::int64_t r = 0; r < down; ++r) {
      const std::int64_t rows = std::min(block.rows, importance.rows() - r * block.rows);
      for (std::int64_t c = 0; c < across; ++c)
        if (!kept[static_cast<std::size_t>(r * across + c)])
          out += rows * std::min(block.cols, importance.cols() - c * block.cols);
    }
    return out;
  }
};

/// The `count` blocks of least score, of all tensors together.
class Choice {
 public:
  explicit Choice(const std::vector<Blocks>& all) : all_(all) {
    const bool in_double = std::ranges::any_of(all, [](const Blocks& b) { return b.scores.dtype() == Dtype::f64; });
    for (const Blocks& b : all) {
      scores_.push_back(in_double ? b.scores.to(Dtype::f64) : b.scores);
      blocks_ += b.scores.numel();
      magnitude_ = magnitude_ && b.importance.is_magnitude();
    }
  }
  [[nodiscard]] std::int64_t blocks() const { return blocks_; }
  /// Of bool, one per tensor.
  [[nodiscard]] TensorList keep(std::int64_t count, TieRule ties) const {
    return select_masks(scores_, {.count = count, .magnitude = magnitude_, .ties = ties}, {}, Dtype::boolean);
  }
  /// Of the lowest indices: choices of topk are not nested.
  [[nodiscard]] std::int64_t pruned(std::int64_t count) const {
    const TensorList kept = keep(count, TieRule::lowest_index);
    std::int64_t out = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) out += all_[i].pruned(kept[i]);
    return out;
  }

 private:
  const std::vector<Blocks>& all_;
  TensorList scores_;
  std::int64_t blocks_ = 0;
  bool magnitude_ = true;
};

/// How many blocks go for `wanted` entries.
std::int64_t count_for(const Choice& choice, std::int64_t smallest, std::int64_t largest, double wanted) {
  // Bounds that meet at once where all blocks have one size.
  const auto at_most = [&](double n) {
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(n), 0, choice.blocks());
  };
  std::int64_t low = at_most(std::floor(wanted / static_cast<double>(largest)));
  std::int64_t high = at_most(std::floor(wanted / static_cast<double>(smallest)));
  while (low < high) {  // the most blocks whose entries are not more than wanted
    const std::int64_t middle = high - (high - low) / 2;
    if (static_cast<double>(choice.pruned(middle)) <= wanted)
      low = middle;
    else
      high = middle - 1;
  }
  if (low == choice.blocks()) return low;
  const double less = static_cast<double>(choice.pruned(low)), more = static_cast<double>(choice.pruned(low + 1));
  return more - wanted < wanted - less ? low + 1 : low;
}

}  // namespace

GlobalNormSparsifier::GlobalNormSparsifier(double sparsity_level, Block sparse_block_shape, ScoreNorm norm,
                                           TieRule ties)
    : BaseSparsifier(
          {{"sparsity_level", sparsity_level},
           {"sparse_block_shape", std::vector<std::int64_t>{sparse_block_shape.rows, sparse_block_shape.cols}}}),
      norm_(std::move(norm)),
      ties_(ties) {
  (void)read_sparsity_level(defaults());
  (void)read_sparse_block_shape(defaults());
}

void GlobalNormSparsifier::check_config(const Group& group) const {
  (void)read_sparsity_level(group.config);
  (void)read_sparse_block_shape(group.config);
  (void)group.config.boolean("score_dense", false);
}

void GlobalNormSparsifier::check_tensor(const Group& group) const {
  (void)Importance(group.mask(), Tensor(), Importance::Of::value);
}

void GlobalNormSparsifier::update_masks(std::vector<Group>& groups) {
  std::vector<Group*> all;
  for (Group& group : groups) all.push_back(&group);
  choose(all);
}

void GlobalNormSparsifier::choose(const std::vector<Group*>& groups) const {
  std::vector<Blocks> all;
  double wanted = 0;
  std::int64_t smallest = INT64_MAX, largest = 1;
  for (Group* const group : groups) {
    if (group->mask().numel() == 0) continue;
    placed(*group, [&] {
      const Block block = read_sparse_block_shape(group->config);
      const Importance importance = importance_of(*group, group->config.boolean("score_dense", false), norm_);
      all.push_back({group, importance, block, mean_of_blocks(importance, block)});
    });
    const Blocks& b = all.back();
    const std::int64_t rows = b.importance.rows(), cols = b.importance.cols();
    wanted += std::clamp(read_sparsity_level(group->config), 0.0, 1.0) * static_cast<double>(b.entries());
    const auto side = [](std::int64_t length, std::int64_t part) {  // smallest and largest
      return std::pair(length % part == 0 ? part : length % part, std::min(length, part));
    };
    const auto [low, high] = side(rows, b.block.rows);
    const auto [narrow, wide] = side(cols, b.block.cols);
    smallest = std::min(smallest, low * narrow);
    largest = std::max(largest, high * wide);
  }
  if (all.empty()) return;
  const Choice choice(all);
  const TensorList keep = choice.keep(count_for(choice, smallest, largest, wanted), ties_);
  for (std::size_t i = 0; i < all.size(); ++i)
    write_blocks(all[i].importance, all[i].block, keep[i], all[i].group->mask());
}

}  // namespace coppice::sparsity
