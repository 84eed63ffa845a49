#include "ops/nuclear.h"

#include <Eigen/SVD>
#include <cmath>

namespace coppice::detail {

double nuclear_norm(const double* values, std::int64_t rows, std::int64_t cols) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const Matrix> matrix(values, rows, cols);
  if (matrix.size() == 0) return 0;
  if (!matrix.allFinite()) return std::nan("");
  // Two-sided Jacobi: compiles in seconds where the divide-and-conquer solver takes minutes, and is the more exact.
  return Eigen::JacobiSVD<Matrix>(matrix).singularValues().sum();
}

}  // namespace coppice::detail
