#include "coppice/sparsity/training/callbacks/sparsifier_callback.h"

#include <algorithm>
#include <utility>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "made.h"
#include "state_part.h"

namespace coppice::sparsity {
namespace {

using Moment = SparsifierCallbackOptions::Moment;

constexpr const char* kWho = "SparsifierCallback";

bool any_attached(const BaseSparsifier* sparsifier) {
  return sparsifier != nullptr && std::ranges::any_of(sparsifier->groups(), &Group::attached);
}

void mask_zeros(BaseSparsifier& sparsifier) {
  const NoGrad guard;
  for (const Group& group : sparsifier.groups()) {
    const Tensor weight = group.weight();
    Tensor mask = group.mask();
    mask.copy_(ne(weight, zeros({}, weight.dtype())).to(mask.dtype()));
  }
}

nn::ModulePtr shared(nn::Module& model) {
  nn::ModulePtr out = model.weak_from_this().lock();
  if (out == nullptr) throw StateError(cat("[", kWho, "] the model must be held by a shared_ptr"));
  return out;
}

}  // namespace

SparsifierCallback::SparsifierCallback(SparsifierFactory sparsifier, SchedulerFactory scheduler,
                                       SparsifierCallbackOptions options)
    : make_sparsifier_(std::move(sparsifier)), make_scheduler_(std::move(scheduler)), options_(std::move(options)) {
  if (!make_sparsifier_) throw ValueError(cat("[", kWho, "] needs a function that makes the sparsifier"));
  if (options_.every < 1) throw ValueError(cat("[", kWho, "] every must be at least 1; got ", options_.every));
}

SparsifierCallback::~SparsifierCallback() { scheduler_.reset(); }  // it refers to the sparsifier

void SparsifierCallback::check_started(const char* hook) const {
  if (sparsifier_ == nullptr) throw StateError(cat("[", kWho, "] ", hook, " before on_fit_start"));
}

void SparsifierCallback::on_fit_start(TrainContext& context) {
  const nn::ModulePtr model = shared(model_of(kWho, context));
  if (any_attached(sparsifier_.get()))
    throw StateError(cat("[", kWho, "] masks of an earlier training stand on a model; squash them first"));
  const std::shared_ptr<BaseSparsifier> sparsifier = made(kWho, "sparsifier", make_sparsifier_);
  if (options_.config)
    sparsifier->prepare(model, *options_.config);
  else
    sparsifier->prepare(model);
  std::shared_ptr<BaseScheduler> scheduler;
  try {
    if (options_.keep_pruned) mask_zeros(*sparsifier);
    if (make_scheduler_) scheduler = made(kWho, "scheduler", make_scheduler_, *sparsifier);
  } catch (...) {
    sparsifier->load_state_dict({{"state", Arguments()}, {"groups", Arguments()}});  // the weights are dense again
    throw;
  }
  scheduler_ = std::move(scheduler);  // first: the old one refers to the old sparsifier
  sparsifier_ = sparsifier;
}

void SparsifierCallback::at(Moment moment, std::int64_t count) {
  if (moment == options_.moment && count % options_.every == 0 && count <= options_.last) step();
}

void SparsifierCallback::step() {
  TensorList before;
  if (options_.keep_pruned)
    for (const Group& group : sparsifier_->groups()) before.push_back(group.mask().clone());
  sparsifier_->step();
  const NoGrad guard;
  for (std::size_t i = 0; i < before.size(); ++i) {
    Tensor mask = sparsifier_->groups()[i].mask();
    mask.copy_(mul(mask, before[i].to(mask.dtype())));
  }
  if (scheduler_ != nullptr) scheduler_->step();
}

void SparsifierCallback::on_train_batch_start(TrainContext& context) {
  check_started("on_train_batch_start");
  at(Moment::batch_start, context.step);
}

void SparsifierCallback::on_train_batch_end(TrainContext& context) {
  check_started("on_train_batch_end");
  at(Moment::batch_end, context.step);
}

void SparsifierCallback::on_train_epoch_end(TrainContext& context) {
  check_started("on_train_epoch_end");
  at(Moment::epoch_end, context.epoch + 1);
}

void SparsifierCallback::on_fit_end(TrainContext&) {
  check_started("on_fit_end");
  if (options_.squash && any_attached(sparsifier_.get())) sparsifier_->squash_mask();
}

Checkpoint::Part SparsifierCallback::checkpoint_part() {
  return state_part(
      "sparsifier",
      [this] {
        check_started("saving a checkpoint");
        Arguments out{{"sparsifier", sparsifier_->state_dict()}};
        if (scheduler_ != nullptr) out.set("scheduler", scheduler_->state_dict());
        return out;
      },
      [this](const Arguments& from, const TrainContext&, const Limits&) {
        check_started("loading a checkpoint");
        const std::size_t groups = sparsifier_->groups().size(), given = from.map("sparsifier").map("groups").size();
        if (groups != given)
          throw ValueError(cat("[", kWho, "] the state is of ", given, " groups; the sparsifier has ", groups));
        if ((scheduler_ != nullptr) != from.has("scheduler"))
          throw ValueError(cat("[", kWho, "] the state ", scheduler_ != nullptr ? "lacks" : "has", " a scheduler"));
        const Arguments* schedule = scheduler_ != nullptr ? &from.map("scheduler") : nullptr;
        from.reject_unread("a checkpoint's sparsifier");
        const Arguments before = sparsifier_->state_dict();
        sparsifier_->load_state_dict(from.map("sparsifier"));
        try {
          if (schedule != nullptr) scheduler_->load_state_dict(*schedule);
        } catch (...) {
          sparsifier_->load_state_dict(before);
          throw;
        }
      },
      [this]() -> std::function<void()> {
        if (sparsifier_ == nullptr) return {};
        const Arguments schedule = scheduler_ != nullptr ? scheduler_->state_dict() : Arguments();
        return [this, state = sparsifier_->state_dict(), schedule] {
          sparsifier_->load_state_dict(state);
          if (scheduler_ != nullptr) scheduler_->load_state_dict(schedule);
        };
      });
}

}  // namespace coppice::sparsity
