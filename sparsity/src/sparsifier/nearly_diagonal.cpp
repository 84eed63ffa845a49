#include "coppice/sparsity/sparsifier/nearly_diagonal.h"

#include <algorithm>

#include "coppice/engine/parallel.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kGrain = 1 << 17;  // elements of one task: 20 µs

void check_odd(std::int64_t nearliness) {
  if (nearliness > 0 && nearliness % 2 == 0)
    throw ValueError(cat("[NearlyDiagonalSparsifier] nearliness must be odd, or at most 0; got ", nearliness));
}

}  // namespace

NearlyDiagonalSparsifier::NearlyDiagonalSparsifier(std::int64_t nearliness)
    : BaseSparsifier({{"nearliness", nearliness}}) {
  check_odd(nearliness);
}

void NearlyDiagonalSparsifier::check_config(const Group& group) const { (void)group.config.integer("nearliness"); }

void NearlyDiagonalSparsifier::check_tensor(const Group& group) const {
  const std::int64_t nearliness = group.config.integer("nearliness");
  if (nearliness <= 0) return;
  check_odd(nearliness);
  const Shape shape = group.mask().shape();
  if (shape.rank() != 2)
    throw ShapeError(cat("[NearlyDiagonalSparsifier] needs a tensor of 2 axes; got shape ", shape));
  if (nearliness / 2 >= std::min(shape[0], shape[1]))
    throw ValueError(cat("[NearlyDiagonalSparsifier] nearliness must be below twice the smaller size of ", shape,
                         "; got ", nearliness));
}

void NearlyDiagonalSparsifier::update_mask(Group& group) {
  const std::int64_t nearliness = group.config.integer("nearliness");
  Tensor mask = group.mask();
  mask.zero_();
  if (nearliness <= 0) return;
  const std::int64_t rows = mask.size(0), cols = mask.size(1), reach = nearliness / 2;
  dispatch(mask.dtype(), [&]<class T>() {
    T* const out = mask.mutable_data<T>().data();
    parallel_for(rows, 1 + kGrain / nearliness, [&](Rows range) {
      for (std::int64_t i = range.begin; i < range.end; ++i) {
        const std::int64_t first = std::min(cols, std::max<std::int64_t>(0, i - reach));
        const std::int64_t end = std::min(cols, i + reach + 1);
        std::fill(out + i * cols + first, out + i * cols + std::max(first, end), convert<T>(1.0));
      }
    });
  });
}

}  // namespace coppice::sparsity
