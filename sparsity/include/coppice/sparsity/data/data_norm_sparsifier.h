#pragma once
/// Prunes the blocks of matrices that have the smallest norms.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "coppice/sparsity/data/base_data_sparsifier.h"

namespace coppice::sparsity {

/// Settings under PyTorch's names: the first three are defaults, which every datum may have in its own way.
struct DataNormOptions {
  double sparsity_level = 0.5;                                 ///< share of the blocks; beyond 0 .. 1 as the nearer end
  std::array<std::int64_t, 2> sparse_block_shape = {1, 4};     ///< rows and columns of a block
  std::optional<std::int64_t> zeros_per_block = std::nullopt;  ///< in each pruned block; all of its cells unless set
  std::string norm = "L1";                                     ///< "L1" or "L2", common to all data
  /// PyTorch's accidents: a level between -1 and 0 prunes all but that share, 16-bit numbers are ranked after rounding,
  /// squares that overflow or vanish are equal, and pruned negative numbers are -0 once squashed.
  bool compat = false;
};

/// A mask has zeros_per_block zeros, at the smallest numbers, in those sparsity_level * blocks (rounded half to even)
/// blocks whose mean of |x| (L1) or x * x (L2) is smallest. Blocks at the edges have the mean of the cells that they
/// have, and lose relatively more.
///
/// Data are matrices but for axes of size 1; 1-D data are one row, a single number one block. All real types but bool:
/// 16-bit floats and small integers rank as float32, int32 and int64 as float64. Masks are int8, in the shape of the
/// data. NaN is pruned last; of equal blocks the lower number goes first, and of equal cells the lower one.
/// Settings other than these three, and those of the base, are kept and mean nothing. L2 ranks squares that overflow or
/// vanish by |x|.
/// Cost of a step: one pass over the data and a selection among the blocks, no sort. Equal for any number of threads.
/// Source: torch/ao/pruning/_experimental/data_sparsifier/data_norm_sparsifier.py
class DataNormSparsifier final : public BaseDataSparsifier {
 public:
  /// @throws ValueError  for another norm; and as add_data()
  explicit DataNormSparsifier(const DataList& data_list, const DataNormOptions& options = {});
  explicit DataNormSparsifier(const DataNormOptions& options = {}) : DataNormSparsifier(DataList{}, options) {}

  [[nodiscard]] const std::string& norm() const { return norm_; }
  [[nodiscard]] bool compat() const { return compat_; }
  [[nodiscard]] std::unique_ptr<BaseDataSparsifier> clone() const override;
  [[nodiscard]] std::string_view type_name() const override { return "DataNormSparsifier"; }

 protected:
  void update_mask(const std::string& name, const Tensor& data, const Arguments& config) override;
  /// @throws ValueError  for a level that is NaN, sides of a block that are not two numbers from 1 on, and zeros beyond
  ///         the block; ShapeError  for more than two axes; DtypeError  for bool; KeyError, TypeError  for settings
  ///         that are missing or of another kind
  void check(const std::string& name, const Tensor& data, const Arguments& config) const override;
  [[nodiscard]] Arguments resolved(const Arguments& config) const override;
  [[nodiscard]] bool keeps_signs_of_zeros() const override { return compat_; }
  [[nodiscard]] Arguments settings() const override;
  void load_settings(const Arguments& settings) override;

 private:
  std::string norm_;
  bool compat_;
};

}  // namespace coppice::sparsity
