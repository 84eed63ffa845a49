#include "measure.h"

#include <algorithm>
#include <chrono>

#include "coppice/engine/autograd.h"

namespace coppice::cli {
namespace {

double milliseconds(const nn::Module& model, const Tensor& x, int calls) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) (void)model(x);
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count() / calls;
}

double quantile(std::vector<double> values, double q) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1) + 0.5);
  std::ranges::nth_element(values, at);
  return *at;
}

}  // namespace

std::vector<Latency> measure(const std::vector<const nn::Module*>& models, const Tensor& x, int rounds) {
  NoGrad guard;
  std::vector<int> calls;
  for (const nn::Module* m : models) {
    (void)milliseconds(*m, x, 3);
    calls.push_back(std::clamp(static_cast<int>(0.5 / (milliseconds(*m, x, 3) + 1e-6)), 1, 1000));
  }
  std::vector<std::vector<double>> times(models.size());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < models.size(); ++i) times[i].push_back(milliseconds(*models[i], x, calls[i]));
  std::vector<Latency> out;
  for (const auto& list : times) out.push_back({quantile(list, 0.5), quantile(list, 0.95)});
  return out;
}

std::int64_t memory_bytes(const nn::Module& model) {
  std::size_t bytes = 0;
  for (const auto& list : {model.named_parameters(), model.named_buffers()})
    for (const auto& [name, tensor] : list) bytes += tensor.nbytes();
  return static_cast<std::int64_t>(bytes);
}

}  // namespace coppice::cli
