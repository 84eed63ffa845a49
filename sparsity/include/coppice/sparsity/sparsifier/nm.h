#pragma once
/// Patterns in which n of every m entries are kept.

#include <memory>
#include <string>
#include <string_view>

#include "coppice/engine/tie_rule.h"
#include "coppice/sparsity/sparsifier/base.h"

namespace coppice::sparsity {

/// n kept of m neighbours.
struct Pattern {
  std::int64_t n = 2;
  std::int64_t m = 4;
  /// "2:4". @throws ValueError  unless it is two numbers with 0 <= n <= m and m >= 1
  [[nodiscard]] static Pattern parse(std::string_view text);
  /// @throws ValueError  as parse()
  void check() const;
  /// The share that goes: 0.5 for "2:4".
  [[nodiscard]] double sparsity() const { return 1 - static_cast<double>(n) / static_cast<double>(m); }
  friend bool operator==(const Pattern&, const Pattern&) = default;
};
/// "2:4"
[[nodiscard]] std::string to_string(const Pattern& pattern);

/// Mask of the shape and type of `t` that keeps the n largest |t| in every run of m elements of the flattened tensor.
/// Of equal ones the lower index is pruned first, as in PyTorch for m up to 16; NaN is kept longest.
/// @throws ValueError  unless m divides the number of elements; as Pattern::check()
/// Source: torchao/sparsity/utils.py, mask_creator
[[nodiscard]] Tensor mask_n_of_m(const Tensor& t, const Pattern& pattern = {}, TieRule ties = default_tie_rule());

/// Mask of the shape and type of `t`, a matrix, with at most two ones in every row and in every column of each 4x4
/// tile: from the largest |t| down (or t, signed), an entry is kept if its row and column have fewer than two. May keep
/// 7 of 16 instead of 8. Of equal ones the lower index is kept; NaN counts as largest.
/// @throws ShapeError  unless there are two axes and both are multiples of 4
/// Source: torch/sparse/_semi_structured_conversions.py and the kernel largest_abs_values_greedy
[[nodiscard]] Tensor mask_two_of_four_tiles(const Tensor& t, bool absolute = true);

/// Keeps in each tensor the n entries of largest magnitude of every m neighbours of a row: "2:4", "1:4", "4:8".
///
/// Settings of a group: "pattern", "score_dense" as WeightNormSparsifier has it, and where it is set "sparsity_level":
/// the share of the runs of m that lose entries, those of least mean importance first, so that a scheduler can lead up
/// to the pattern. Without it, and at 1, all do. Tensors of more than two axes are seen as [first, all others]. Ties as
/// mask_n_of_m().
class NmSparsifier : public BaseSparsifier {
 public:
  /// @throws ValueError  as Pattern::check()
  explicit NmSparsifier(const Pattern& pattern = {}, TieRule ties = default_tie_rule());
  [[nodiscard]] std::string_view type_name() const override { return "NmSparsifier"; }

 protected:
  [[nodiscard]] std::unique_ptr<BaseSparsifier> copy() const override { return std::make_unique<NmSparsifier>(*this); }
  void check_config(const Group& group) const override;
  /// @throws ShapeError  unless m divides the length of a row
  void check_tensor(const Group& group) const override;
  void update_mask(Group& group) override;

 private:
  TieRule ties_;
};

}  // namespace coppice::sparsity
