#pragma once
// One datum of a data sparsifier as a module, so that masking it is what masking a parameter is. Private to sparsity.

#include <string>
#include <string_view>

#include "coppice/engine/arguments.h"
#include "coppice/nn/module.h"

namespace coppice::sparsity {

/// What states call the tensor of a datum that is masked.
[[nodiscard]] inline std::string original_key(std::string_view name) {
  return cat("parametrizations.", name, ".original");
}

/// Holds the tensor that was given as its buffer "data", which is parametrized by a mask until it is squashed.
class DataSlot final : public nn::Implements<DataSlot> {
 public:
  static constexpr std::string_view kType = "coppice.DataSlot";
  explicit DataSlot(const Tensor& data);

  /// Applies this very mask. @param config  "parametrization" names what applies it; FakeSparsity without it
  void parametrize(const Tensor& mask, const Arguments& config);
  [[nodiscard]] bool is_parametrized() const;
  /// The tensor that was given, while it is masked.
  [[nodiscard]] Tensor original() const;
  /// What reading gives.
  [[nodiscard]] Tensor value() const { return tensor("data"); }
  /// @throws StateError  if the original is the result of an operation; and what reading throws
  void check_squashable(std::string_view name) const;
  /// Lets the tensor show what reading gives, or stay as it is, and ends the masking.
  void squash(bool leave_parametrized);
  /// Pruned entries of squashed data that are -0 become +0: the sign is a random bit, which no file can compress.
  void drop_signs_of_zeros(const Tensor& mask);

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }
};

}  // namespace coppice::sparsity
