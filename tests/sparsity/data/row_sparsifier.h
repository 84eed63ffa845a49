#pragma once
/// The smallest sparsifier of data there can be, as PyTorch's tests have it.

#include "coppice/sparsity/data/base_data_sparsifier.h"

namespace coppice::test {

/// Prunes row 0, and counts.
class RowSparsifier final : public sparsity::BaseDataSparsifier {
 public:
  using BaseDataSparsifier::BaseDataSparsifier;
  [[nodiscard]] std::unique_ptr<BaseDataSparsifier> clone() const override {
    return std::make_unique<RowSparsifier>(*this);
  }

 protected:
  void update_mask(const std::string& name, const Tensor& data, const Arguments&) override {
    Tensor mask = get_mask(name);
    for (std::int64_t i = 0; i < data.size(1); ++i) mask.set_({0, i}, 0);
    state(name).set("step_count", state(name).integer("step_count", 0) + 1);
  }
};

}  // namespace coppice::test
