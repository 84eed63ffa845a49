#pragma once
/// Calls of the operations in the table, as data: what the tests that hold for all of them run (Jacobians, overwritten
/// and undefined tensors, flags, replaying what a listener heard), and what bench/op_bench times.

#include <functional>
#include <string>
#include <vector>

#include "coppice/engine/ops/op_table.h"

namespace coppice::testing {

struct OpCase {
  std::string op;  ///< name of a row
  /// At a point where the operation is smooth; float64 ones are those in which gradients are checked, others are
  /// conditions and indices.
  TensorList inputs;
  Arguments attributes{};
  std::function<TensorList()> timed{};  ///< float32 inputs of a size worth timing, with the same attributes

  [[nodiscard]] const OpRow& row() const;
};

/// Every row of the engine has at least one; those of an operation stand together.
[[nodiscard]] const std::vector<OpCase>& op_cases();

/// Runs it; random operations start from the same seed each time.
[[nodiscard]] TensorList run(const OpCase& c, const TensorList& inputs);

}  // namespace coppice::testing
