#pragma once
// The nuclear norm, apart from the others: its header takes long to compile. Private to the engine.

#include <cstdint>

namespace coppice::detail {

/// Sum of the singular values of a row-major [rows, cols] matrix; NaN if an entry is not finite.
[[nodiscard]] double nuclear_norm(const double* values, std::int64_t rows, std::int64_t cols);

}  // namespace coppice::detail
