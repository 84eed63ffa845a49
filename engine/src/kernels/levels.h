#pragma once
/// The kernels that are compiled once per instruction-set level, and the choice among the levels at run time.

#include "kernels/dense/dense.h"
#include "kernels/functions/functions.h"
#include "kernels/select/steps.h"
#include "kernels/sparse/sparse.h"

namespace coppice::kernels {

/// All kernels of one level: a table for each folder.
struct Kernels {
  const DenseKernels& dense;
  const FunctionKernels& functions;
  const SelectKernels& select;
  const SparseKernels& sparse;
};

/// Those of the highest level that this build has and cpu_level() allows.
[[nodiscard]] const Kernels& in_use();

}  // namespace coppice::kernels
