// Quantising activations on all threads.
#include <algorithm>
#include <limits>

#include "coppice/engine/parallel.h"
#include "quant/int8_linear.h"

namespace coppice::quant {
namespace {

constexpr std::int64_t kTaskNumbers = 1 << 18;  // about 20 µs

}  // namespace

void quantize(std::span<const float> x, const kernels::Int8Scale& scale, std::uint8_t* q) {
  const kernels::Int8Kernels& kernels = kernels::int8_in_use();
  parallel_for(std::ssize(x), kTaskNumbers,
               [&](Rows r) { kernels.quantize(x.data() + r.begin, r.size(), scale, q + r.begin); });
}

void quantize_rows(const float* x, std::int64_t m, std::int64_t k, const kernels::Int8Scale& scale, std::uint8_t* q) {
  const std::int64_t stride = row_stride(k);
  if (stride == k) return quantize({x, static_cast<std::size_t>(m * k)}, scale, q);
  const kernels::Int8Kernels& kernels = kernels::int8_in_use();
  parallel_for(m, std::max<std::int64_t>(kTaskNumbers / k, 1), [&](Rows rows) {
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      kernels.quantize(x + r * k, k, scale, q + r * stride);
      std::fill_n(q + r * stride + k, stride - k, std::uint8_t{0});
    }
  });
}

kernels::FloatRange range_of(std::span<const float> x) {
  const kernels::Int8Kernels& kernels = kernels::int8_in_use();
  const std::int64_t n = std::ssize(x), tasks = (n + kTaskNumbers - 1) / kTaskNumbers;
  if (tasks <= 1) return kernels.range(x.data(), n);
  std::vector<kernels::FloatRange> parts(static_cast<std::size_t>(tasks));
  parallel_for(n, kTaskNumbers, [&](Rows r) {
    parts[static_cast<std::size_t>(r.begin / kTaskNumbers)] = kernels.range(x.data() + r.begin, r.size());
  });
  for (const kernels::FloatRange& p : parts) {
    parts[0].min = std::min(parts[0].min, p.min);
    parts[0].max = std::max(parts[0].max, p.max);
  }
  return parts[0];
}

}  // namespace coppice::quant
