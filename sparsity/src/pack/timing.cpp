#include "timing.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "coppice/engine/create.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/race.h"
#include "coppice/engine/random.h"
#include "coppice/nn/layers/conv.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kMany = 64;
constexpr double kMostBytes = 1 << 28;
constexpr double kMostSeconds = 2;  // of all rounds but the first three

Shape with_batch(std::int64_t n, const Shape& sample) {
  std::vector<std::int64_t> sizes(sample.begin(), sample.end());
  sizes.insert(sizes.begin(), n);
  return Shape(std::move(sizes));
}

std::vector<double> medians(const std::vector<const nn::Module*>& modules, const Tensor& x, int runs) {
  std::vector<std::function<void()>> runners;
  for (const nn::Module* m : modules) runners.push_back([m, &x] { (void)(*m)(x); });
  std::vector<double> out;
  for (const RaceTime& time : race(runners, {.rounds = runs, .seconds = kMostSeconds})) out.push_back(time.median);
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
