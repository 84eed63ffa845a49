#include "coppice/sparsity/training/trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "coppice/engine/error.h"
#include "coppice/engine/warn.h"

namespace coppice::sparsity {

namespace {

bool has_batch_norm(const nn::Module& model) {
  return std::ranges::any_of(model.named_modules(),
                             [](const auto& entry) { return entry.second->type_name().starts_with("BatchNorm"); });
}

}  // namespace

std::int64_t steps_per_epoch(const nn::Module& model, std::int64_t samples, std::int64_t batch) {
  const std::int64_t full = samples / batch, left = samples % batch;
  if (left == 1 && full > 0 && has_batch_norm(model)) return full;
  return full + (left > 0 ? 1 : 0);
}

Trainer::Trainer(const TrainerOptions& options, Loss loss)
    : options_(options), loss_(std::move(loss)), generator_(options.seed) {
  if (options_.epochs < 0) throw ValueError(cat("[Trainer] epochs must be at least 0; got ", options_.epochs));
  if (options_.batch < 1) throw ValueError(cat("[Trainer] batch must be at least 1; got ", options_.batch));
  if (!loss_) throw ValueError("[Trainer] needs a loss");
}

Loss Trainer::cross_entropy_loss() {
  return [](const Tensor& output, const Tensor& target) { return cross_entropy(output, target); };
}

Trainer& Trainer::add(std::shared_ptr<Callback> callback) {
  callbacks_.add(std::move(callback));
  return *this;
}

TrainContext Trainer::fit(nn::Module& model, nn::Optimizer& optimizer, const Dataset& data) {
  if (data.x.dim() < 1 || data.y.dim() < 1 || data.x.size(0) != data.y.size(0))
    throw ShapeError(cat("[Trainer] needs x: [n, ...] and y: [n, ...]; got ", data.x.shape(), " and ", data.y.shape()));
  if (data.size() == 0) throw ValueError("[Trainer] needs at least one sample; got 0");
  TrainContext context{.model = &model, .optimizer = &optimizer, .generator = &generator_, .epochs = options_.epochs};
  try {
    run(context, data);
  } catch (...) {
    callbacks_.fire_exception(context, std::current_exception());
    throw;
  }
  return context;
}

void Trainer::run(TrainContext& context, const Dataset& data) const {
  const std::int64_t batch = std::min(options_.batch, data.size());
  callbacks_.fire(&Callback::on_fit_start, context);
  // A callback may have put the training where an earlier one was.
  const std::int64_t steps = steps_per_epoch(*context.model, data.size(), batch);
  if (steps * batch < data.size())
    warn(cat("[Trainer] of ", data.size(), " samples in batches of ", batch,
             " one is left, in which a batch norm finds no variance: the last batch has ", batch + 1));
  if (context.step < 0 || context.step % steps != 0)
    throw ValueError(cat("[Trainer] a training goes on between epochs of ", steps, " steps; got step ", context.step));
  context.epoch = context.step / steps;
  callbacks_.fire(&Callback::on_train_start, context);
  while (context.epoch < context.epochs && !context.stop) run_epoch(context, data, batch);
  callbacks_.fire(&Callback::on_train_end, context);
  callbacks_.fire(&Callback::on_fit_end, context);
}

void Trainer::run_epoch(TrainContext& context, const Dataset& data, std::int64_t batch) const {
  EpochScope epoch(callbacks_, context);
  context.model->train();
  const std::vector<std::int64_t> order = context.generator->permutation(data.size());
  double total = 0;
  const std::int64_t steps = steps_per_epoch(*context.model, data.size(), batch);
  for (std::int64_t step = 0, at = 0; step < steps; ++step) {
    const std::int64_t end = step + 1 == steps ? data.size() : at + batch;
    run_batch(context, data.subset({order.begin() + at, order.begin() + end}));
    total += context.loss * static_cast<double>(end - at);
    at = end;
  }
  context.loss = total / static_cast<double>(data.size());
  epoch.finish();
}

void Trainer::run_batch(TrainContext& context, const Dataset& part) const {
  callbacks_.fire(&Callback::on_train_batch_start, context);
  context.optimizer->zero_grad();
  const Tensor loss = loss_((*context.model)(part.x), part.y);
  context.loss = loss.item<double>();
  if (!std::isfinite(context.loss))
    throw ValueError(cat("[Trainer] the loss became ", context.loss, " in epoch ", context.epoch + 1, ", step ",
                         context.step + 1, "; a smaller lr than ", context.optimizer->lr(), " may help"));
  loss.backward();
  context.optimizer->step();
  ++context.step;
  callbacks_.fire(&Callback::on_train_batch_end, context);
}

}  // namespace coppice::sparsity
