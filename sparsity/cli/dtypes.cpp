#include "dtypes.h"

#include <cmath>
#include <map>
#include <tuple>
#include <vector>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/quantized.h"
#include "tensors.h"

namespace coppice::cli {
namespace {

std::int64_t count_finite(const Tensor& tensor) {
  return dispatch(tensor.dtype(), [&]<class T>() {
    std::int64_t count = 0;
    for (const T value : tensor.data<T>()) count += std::isfinite(convert<double>(value)) ? 1 : 0;
    return count;
  });
}

}  // namespace

std::int64_t became_infinite(const Tensor& before, const Tensor& after) {
  return count_finite(before) - count_finite(after);
}

std::string too_large_note(const std::string& name, std::int64_t count, Dtype dtype) {
  return cat("note: ", grouped(count), " numbers of ", printable(name), " are too large for ", to_string(dtype),
             " and became infinite");
}

void add_dtype(CLI::App* sub, std::optional<Dtype>& dtype) {
  static const std::map<std::string, Dtype> kNames{
      {"f32", Dtype::f32},     {"f16", Dtype::f16},     {"bf16", Dtype::bf16},     {"f64", Dtype::f64},
      {"float32", Dtype::f32}, {"float16", Dtype::f16}, {"bfloat16", Dtype::bf16}, {"float64", Dtype::f64}};
  sub->add_option_function<std::string>(
         "--dtype", [&dtype](const std::string& name) { dtype = kNames.at(name); },
         "Convert floating tensors, and the values of quantised ones, to f32, f16, bf16 or f64\n(default: each keeps "
         "its own)")
      ->check(CLI::IsMember(kNames));
}

NamedTensors converted(const App& app, const NamedTensors& tensors, Dtype dtype) {
  using Place = std::tuple<const std::byte*, Dtype, std::vector<std::int64_t>>;
  const NoGrad guard;
  NamedTensors out;
  std::map<Place, Tensor> done;
  std::size_t count = 0;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.is_quantized()) {
      ++count;
      out.add(name, dequantize(tensor).to(dtype));
      continue;
    }
    if (!is_floating(tensor.dtype()) || tensor.dtype() == dtype) {
      out.add(name, tensor);
      continue;
    }
    ++count;
    const Place place{tensor.bytes(), tensor.dtype(), {tensor.shape().begin(), tensor.shape().end()}};
    const auto [known, is_new] = done.try_emplace(place);
    if (is_new) {
      known->second = tensor.to(dtype);
      const std::int64_t lost = became_infinite(tensor, known->second);
      if (lost > 0) note(app, too_large_note(name, lost, dtype));
    }
    out.add(name, known->second);
  }
  if (count > 0)
    note(app, cat("note: ", count, " of ", tensors.size(), " tensors were converted to ", to_string(dtype)));
  out.metadata() = tensors.metadata();
  return out;
}

}  // namespace coppice::cli
