#pragma once
// --dtype: the element type that floating tensors are converted to.

#include <cstdint>
#include <optional>
#include <string>

#include "app.h"
#include "coppice/engine/dtype.h"
#include "coppice/engine/io/named_tensors.h"

namespace coppice::cli {

/// --dtype takes f32, f16, bf16 and f64, or PyTorch's names of these.
void add_dtype(CLI::App* sub, std::optional<Dtype>& dtype);

/// Floating tensors as `dtype`, tied ones tied, with the rest and the metadata. Notes say how many were converted, and
/// where finite numbers became infinite.
[[nodiscard]] NamedTensors converted(const App& app, const NamedTensors& tensors, Dtype dtype);

/// How many finite numbers became infinite when a tensor was converted.
[[nodiscard]] std::int64_t became_infinite(const Tensor& before, const Tensor& after);
/// What is said of them.
[[nodiscard]] std::string too_large_note(const std::string& name, std::int64_t count, Dtype dtype);

}  // namespace coppice::cli
