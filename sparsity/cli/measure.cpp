#include "measure.h"

#include <functional>

#include "coppice/engine/autograd.h"
#include "coppice/engine/race.h"

namespace coppice::cli {

std::vector<Latency> measure(const std::vector<const nn::Module*>& models, const Tensor& x, int rounds) {
  NoGrad guard;
  std::vector<std::function<void()>> runners;
  for (const nn::Module* m : models) runners.push_back([m, &x] { (void)(*m)(x); });
  std::vector<Latency> out;
  for (const RaceTime& time : race(runners, {.rounds = rounds})) out.push_back({time.median / 1e3, time.p95 / 1e3});
  return out;
}

std::int64_t memory_bytes(const nn::Module& model) {
  std::size_t bytes = 0;
  for (const auto& list : {model.named_parameters(), model.named_buffers()})
    for (const auto& [name, tensor] : list) bytes += tensor.nbytes();
  return static_cast<std::int64_t>(bytes);
}

}  // namespace coppice::cli
