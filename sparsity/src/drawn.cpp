#include "coppice/sparsity/drawn.h"

#include "coppice/engine/dtype.h"

namespace coppice::sparsity {

std::string drawn(const Tensor& mask) {
  const std::int64_t rows = mask.dim() < 2 ? 1 : mask.size(0);
  const std::int64_t cols = rows == 0 ? 0 : mask.numel() / rows;
  std::string out;
  dispatch(mask.dtype(), [&]<class T>() {
    const T* entry = mask.data<T>().data();
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < cols; ++c) out += convert<double>(*entry++) != 0 ? '#' : '.';
      out += '\n';
    }
  });
  return out;
}

}  // namespace coppice::sparsity
