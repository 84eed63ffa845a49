// Tensor as text.
#include <cstdio>
#include <ostream>

#include "coppice/engine/tensor.h"

namespace coppice {
namespace {

constexpr std::int64_t kEdge = 3;      // elements shown at each end of a long axis
constexpr std::int64_t kWhole = 1000;  // tensors up to this size are shown whole

std::string number(double value, Dtype dtype) {
  if (dtype == Dtype::boolean) return value != 0 ? "true" : "false";
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, is_floating(dtype) || is_quantized(dtype) ? "%.4f" : "%.0f", value);
  return buffer;
}

void print(std::string& out, const std::vector<double>& values, const Shape& shape, Dtype dtype, std::int64_t axis,
           std::int64_t& at, std::int64_t stride, bool shorten) {
  if (axis == shape.rank()) {
    out += number(values[static_cast<std::size_t>(at)], dtype);
    return;
  }
  const std::int64_t size = shape[axis];
  const std::int64_t inner = size == 0 ? 0 : stride / size;
  const std::int64_t start = at;
  out += '[';
  for (std::int64_t i = 0; i < size; ++i) {
    if (i > 0) out += axis + 1 == shape.rank() ? ", " : ",\n" + std::string(static_cast<std::size_t>(axis) + 8, ' ');
    if (shorten && size > 2 * kEdge && i == kEdge) {
      out += "...";
      i = size - kEdge - 1;
      continue;
    }
    at = start + i * inner;
    print(out, values, shape, dtype, axis + 1, at, inner, shorten);
  }
  out += ']';
}

std::string shown(const QParams& p) {
  if (p.per_channel()) return cat(", ", p.scheme(), ", ", p.scales().size(), " scales along axis ", p.axis());
  return cat(", scale=", p.scales()[0], ", zero_point=", p.zero_points()[0]);
}

}  // namespace

std::string to_string(const Tensor& tensor) {
  if (!tensor.defined()) return "tensor(undefined)";
  std::string out = "tensor(";
  std::int64_t at = 0;
  print(out, tensor.to_vector<double>(), tensor.shape(), tensor.dtype(), 0, at, tensor.numel(),
        tensor.numel() > kWhole);
  if (tensor.numel() == 0) out += cat(", shape=", tensor.shape());
  if (tensor.dtype() != Dtype::f32) out += cat(", dtype=", tensor.dtype());
  if (tensor.is_quantized()) out += shown(*tensor.qparams());
  if (tensor.requires_grad()) out += ", requires_grad";
  return out += ')';
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << to_string(tensor); }

}  // namespace coppice
