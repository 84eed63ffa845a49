#include "training_state.h"

#include <cstdint>

#include "coppice/nn/state_dict.h"

namespace coppice::sparsity {
namespace {

Tensor words(const Generator& g) {
  const Generator::State state = g.state();
  return Tensor::from(std::vector<std::int64_t>(state.begin(), state.end()), {static_cast<std::int64_t>(state.size())});
}

Generator generator_from(const Tensor& t) {
  std::vector<std::uint32_t> state;
  for (const std::int64_t word : t.to_vector<std::int64_t>()) state.push_back(static_cast<std::uint32_t>(word));
  Generator out;
  out.set_state(state);
  return out;
}

}  // namespace

NamedTensors save_training(const TrainContext& context, const std::vector<Checkpoint::Part>& parts) {
  NamedTensors all;
  all.add_all("model.", nn::all_tensors(*context.model));
  for (const Checkpoint::Part& part : parts) part.save(all);
  all.add_all("optimizer.", context.optimizer->state_dict());
  all.add("random.order", words(*context.generator));
  all.add("random.default", words(default_generator()));
  all.add("step", Tensor::from(std::vector<std::int64_t>{context.step}, {}));
  return all;
}

void load_training(const NamedTensors& all, TrainContext& context, const std::vector<Checkpoint::Part>& parts) {
  context.step = all.at("step").item<std::int64_t>();
  const Generator order = generator_from(all.at("random.order"));
  const Generator other = generator_from(all.at("random.default"));
  for (const Checkpoint::Part& part : parts) part.load(all, context);
  context.optimizer->load_state_dict(all.below("optimizer."));
  nn::load_state_dict(*context.model, all.below("model."));
  *context.generator = order;
  default_generator() = other;
}

}  // namespace coppice::sparsity
