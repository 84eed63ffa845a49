#include "training_state.h"

#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <utility>

#include "coppice/engine/checked.h"
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

using Undo = std::function<void()>;

NamedTensors copy_of(const NamedTensors& live) {
  NamedTensors out;
  for (const auto& [name, tensor] : live) out.add(name, tensor.clone());
  return out;
}

/// The last first. @throws StateError  where one of them throws, after the others were called
void put_back(const std::vector<Undo>& undo) {
  std::string failed;
  for (auto one = undo.rbegin(); one != undo.rend(); ++one) try {
      (*one)();
    } catch (const std::exception& e) {
      failed = e.what();
    }
  if (!failed.empty()) throw StateError(cat("[load_training] the training is left half replaced: ", failed));
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

void load_training(const NamedTensors& all, TrainContext& context, const std::vector<Checkpoint::Part>& parts,
                   const Limits& limits) {
  const auto step = all.at("step").item<std::int64_t>();
  const Generator order = generator_from(all.at("random.order"));
  const Generator other = generator_from(all.at("random.default"));
  const NamedTensors optimizer = copy_of(context.optimizer->state_dict());
  std::vector<Undo> undo{[&context, before = context.step] { context.step = before; }};
  undo.reserve(parts.size() + 2);
  try {
    context.step = step;
    for (const Checkpoint::Part& part : parts) {
      Undo back = part.keep ? part.keep() : Undo();
      part.load(all, context, limits);
      if (back) undo.push_back(std::move(back));
    }
    context.optimizer->load_state_dict(all.below("optimizer."));
    undo.emplace_back([&] { context.optimizer->load_state_dict(optimizer); });
    nn::load_state_dict(*context.model, all.below("model."));  // last: it changes nothing where it throws
  } catch (...) {
    put_back(undo);
    throw;
  }
  *context.generator = order;
  default_generator() = other;
}

}  // namespace coppice::sparsity
