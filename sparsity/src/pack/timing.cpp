#include "timing.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "coppice/engine/create.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"
#include "coppice/nn/layers/conv.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kMany = 64;
constexpr double kMostBytes = 1 << 28;
constexpr double kMostMicroseconds = 2e6;  // of all rounds but the first three

Shape with_batch(std::int64_t n, const Shape& sample) {
  std::vector<std::int64_t> sizes(sample.begin(), sample.end());
  sizes.insert(sizes.begin(), n);
  return Shape(std::move(sizes));
}

double microseconds(const nn::Module& m, const Tensor& x, int calls) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) (void)m(x);
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() / calls;
}

std::vector<double> medians(const std::vector<const nn::Module*>& modules, const Tensor& x, int runs) {
  std::vector<std::vector<double>> times(modules.size());
  std::vector<int> calls;
  double round = 0;
  for (const nn::Module* m : modules) {
    (void)microseconds(*m, x, 1);
    const double once = microseconds(*m, x, 1);
    calls.push_back(std::clamp(static_cast<int>(100 / (once + 0.01)), 1, 50));
    round += once * calls.back();
  }
  // Long calls vary less, so fewer of them tell as much.
  runs = static_cast<int>(std::min<double>(runs, std::max(3.0, kMostMicroseconds / (round + 1))));
  for (int run = 0; run < runs; ++run)
    for (std::size_t i = 0; i < modules.size(); ++i) times[i].push_back(microseconds(*modules[i], x, calls[i]));
  std::vector<double> out;
  for (auto& list : times) {
    std::ranges::nth_element(list, list.begin() + static_cast<std::ptrdiff_t>(list.size() / 2));
    out.push_back(list[list.size() / 2]);
  }
  return out;
}

}  // namespace

double call_bytes(const nn::Module& layer, const Shape& input, std::int64_t samples) {
  const Tensor weight = layer.tensor("weight");
  const auto n = static_cast<double>(samples);
  double in = 1;
  for (const std::int64_t size : input) in *= static_cast<double>(size);
  if (const auto* conv = dynamic_cast<const nn::Conv2d*>(&layer)) {
    try {
      const ConvGeometry g = conv_geometry("pack", 2, with_batch(samples, input), weight.shape(), conv->options());
      const auto positions = static_cast<double>(g.positions());
      const double columns = g.pointwise() ? 0 : static_cast<double>(g.taps()) * positions * num_threads();
      return sizeof(float) * (n * (in + static_cast<double>(g.out_channels) * positions) + columns);
    } catch (const LimitError&) {
      return std::numeric_limits<double>::infinity();
    }
  }
  const auto features = static_cast<double>(std::max<std::int64_t>(weight.size(1), 1));
  return sizeof(float) * n * (in + in / features * static_cast<double>(weight.size(0)));
}

std::optional<std::vector<CallTimes>> time_calls(const nn::Module& layer, const std::vector<const nn::Module*>& modules,
                                                 const Shape& input, int runs) {
  std::int64_t batch = kMany;
  while (batch > 0 && call_bytes(layer, input, batch) > kMostBytes) batch /= 2;
  if (batch == 0) return std::nullopt;
  Generator generator(0);
  const std::vector<double> one = medians(modules, rand(with_batch(1, input), Dtype::f32, &generator), runs);
  const std::vector<double> many = medians(modules, rand(with_batch(batch, input), Dtype::f32, &generator), runs);
  std::vector<CallTimes> out;
  for (std::size_t i = 0; i < modules.size(); ++i)
    out.push_back({one[i], many[i] * static_cast<double>(kMany) / static_cast<double>(batch)});
  return out;
}

}  // namespace coppice::sparsity
