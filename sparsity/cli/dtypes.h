#pragma once
// --dtype: the element type that floating tensors are converted to.

#include <optional>

#include "app.h"
#include "coppice/engine/dtype.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice::cli {

/// --dtype takes f32, f16, bf16 and f64, or PyTorch's names of these.
void add_dtype(CLI::App* sub, std::optional<Dtype>& dtype);

/// Floating tensors as `dtype`, tied ones tied, with the rest and the metadata. Notes say how many were converted, and
/// where finite numbers became infinite.
[[nodiscard]] NamedTensors converted(const App& app, const NamedTensors& tensors, Dtype dtype);

}  // namespace coppice::cli
