#pragma once
/// Selection of the k smallest or largest scores over one or many spans, without concatenation.
///
/// Scores of several spans count as one sequence, in the order of the spans. NaN ranks above every number, +0 and -0
/// are equal. Spans may differ in type: the comparison is exact among floats of up to 32 bits and small integers,
/// among integers, and otherwise in double.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "coppice/engine/dtype.h"
#include "coppice/engine/score_stream.h"
#include "coppice/engine/tie_rule.h"

namespace coppice::selection {

struct Scores {
  const void* data = nullptr;
  Dtype dtype = Dtype::f32;
  std::int64_t size = 0;
  const void* eligible = nullptr;  ///< `size` mask elements, 0 = takes no part; null: all take part
  Dtype eligible_dtype = Dtype::f32;
  const ScoreStream* stream = nullptr;  ///< in the place of `data`: float32, all take part; for find_cut, alone
};

/// Mask to be written: as long as its scores, in any type.
struct MaskOut {
  void* data = nullptr;
  Dtype dtype = Dtype::f32;
  /// `data` are numbers, usually the scores themselves: what a mask would have 0 for becomes 0, the rest stays.
  bool in_place = false;
};

struct Ranking {
  bool magnitude = true;  ///< ranks |score|, otherwise the score itself
  bool largest = false;   ///< selects the largest instead of the smallest
};

/// The scores of a stream.
[[nodiscard]] inline Scores scores_of(const ScoreStream& stream) {
  Scores out;
  out.size = stream.size();
  out.stream = &stream;
  return out;
}

/// Result of a selection with TieRule::lowest_index: everything ranked before `key` is selected, and of those equal
/// to it the first `take` in index order.
struct Cut {
  std::uint64_t key = 0;
  std::int64_t take = 0;
  std::int64_t equal = 0;  ///< how many are equal to `key`
  Ranking ranking;
};

/// Cut of the first `k` in rank order: exactly k elements are selected.
/// Extra memory: at most 1/25 of the scores, and 16 KB for each of at most 64 ranges. Equal for any thread count.
/// @throws ValueError  if `k` is negative or above the number of elements that take part
[[nodiscard]] Cut find_cut(std::span<const Scores> scores, std::int64_t k, Ranking ranking);

/// Selects of a stream in one reading, by a sample: what is near the cut is written as kept, and pruned when the cut is
/// known. Nothing, with some of the scores written, where that takes more memory than it may.
[[nodiscard]] std::optional<Cut> select_at_once(ScoreStream& stream, std::int64_t k, Ranking ranking);

/// 0 for what the cut selects and for what takes no part, 1 elsewhere. A mask may be its own `eligible`.
/// @param masks  one per span of scores, the same scores as were given to find_cut
void write_masks(std::span<const Scores> scores, const Cut& cut, std::span<const MaskOut> masks);

/// The score at the cut: an upper (largest: lower) bound of what was selected. NaN when that is NaN.
[[nodiscard]] double value_of(const Cut& cut, std::span<const Scores> scores);

/// Positions in the sequence of all eligible and other elements that torch.topk selects on a CPU, in its order, ties
/// included: through std::partial_sort when 64 k <= n, else std::nth_element and std::sort. 16 bytes per score.
/// @throws ValueError  as find_cut
[[nodiscard]] std::vector<std::int64_t> pytorch_topk(std::span<const Scores> scores, std::int64_t k, Ranking ranking);

/// Masks with zeros at the first `k` in rank order (and where nothing takes part), under either tie rule.
/// Nothing is written when it throws.
/// @throws ValueError  as find_cut
void select_masks(std::span<const Scores> scores, std::int64_t k, Ranking ranking, TieRule ties,
                  std::span<const MaskOut> masks);

}  // namespace coppice::selection
