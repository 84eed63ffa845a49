#pragma once

#include <memory>

#include "coppice/sparsity/sparsifier/base.h"

namespace coppice::sparsity {

/// Keeps a band around the diagonal of each tensor: entries with |row - column| <= nearliness / 2, whatever the
/// weights.
///
/// "nearliness", a group's setting, is the width of the band: odd, below twice the smaller size; 0 and less keep
/// nothing. A tensor of other than two axes, or a nearliness that does not fit one, is a ShapeError or ValueError of
/// step(), and no mask has changed. Schedulers cannot set it: there is no sparsity level.
/// Source: torch/ao/pruning/sparsifier/nearly_diagonal_sparsifier.py, NearlyDiagonalSparsifier
class NearlyDiagonalSparsifier : public BaseSparsifier {
 public:
  /// @throws ValueError  if `nearliness` is even and above 0
  explicit NearlyDiagonalSparsifier(std::int64_t nearliness = 1);
  [[nodiscard]] std::string_view type_name() const override { return "NearlyDiagonalSparsifier"; }

 protected:
  [[nodiscard]] std::unique_ptr<BaseSparsifier> copy() const override {
    return std::make_unique<NearlyDiagonalSparsifier>(*this);
  }
  void check_config(const Group& group) const override;
  void check_tensor(const Group& group) const override;
  void update_mask(Group& group) override;
};

}  // namespace coppice::sparsity
