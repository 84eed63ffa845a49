#include "coppice/sparsity/training/callbacks/training_aware_data_sparsity.h"

#include <utility>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/sparsity/training/callbacks/model_data.h"
#include "made.h"
#include "state_part.h"

namespace coppice::sparsity {
namespace {

constexpr const char* kWho = "TrainingAwareDataSparsity";

/// What a file brought must be data of this model.
void check_data(const BaseDataSparsifier& sparsifier, const OrderedMap<Tensor>& parameters) {
  for (const auto& [name, parameter] : parameters)
    if (!sparsifier.is_parametrized(name) || sparsifier.get_mask(name).shape() != parameter.shape())
      throw ValueError(
          cat("[", kWho, "] the state has no masked ", quote(name), " of shape ", parameter.shape(), ", as the model"));
}

}  // namespace

TrainingAwareDataSparsity::TrainingAwareDataSparsity(DataSparsifierFactory data_sparsifier,
                                                     DataSchedulerFactory data_scheduler, WeightFilter select)
    : make_sparsifier_(std::move(data_sparsifier)),
      make_scheduler_(std::move(data_scheduler)),
      select_(std::move(select)) {
  if (!make_sparsifier_ || !make_scheduler_)
    throw ValueError(cat("[", kWho, "] needs functions that make the sparsifier and the scheduler"));
}

TrainingAwareDataSparsity::~TrainingAwareDataSparsity() = default;

void TrainingAwareDataSparsity::check_started(const char* hook) const {
  if (data_sparsifier_ == nullptr) throw StateError(cat("[", kWho, "] ", hook, " before on_train_start"));
}

void TrainingAwareDataSparsity::start(const nn::Module& model, const Arguments* from, const Limits& limits) {
  const nn::ModulePtr copy = model.clone();
  const std::shared_ptr<BaseDataSparsifier> sparsifier = made(kWho, "sparsifier", make_sparsifier_);
  attach_model(*sparsifier, *copy, select_);  // so that the scheduler finds the levels to start from
  std::shared_ptr<BaseDataScheduler> scheduler = made(kWho, "scheduler", make_scheduler_, *sparsifier);
  std::optional<DataSparsifierState> state;
  if (from != nullptr) {
    state = data_sparsifier_state(from->map("sparsifier"), limits);
    sparsifier->load_state_dict(*state);
    check_data(*sparsifier, data_of(*copy, select_));
    scheduler->load_state_dict(from->map("scheduler"));
  }
  data_scheduler_ = std::move(scheduler);  // first: the old one refers to the old sparsifier
  data_sparsifier_ = sparsifier;
  sparsified_ = copy;
  state_ = std::move(state);
}

void TrainingAwareDataSparsity::on_train_start(TrainContext& context) {
  if (std::exchange(resumed_, false))
    sparsified_ = model_of(kWho, context).clone();  // as the checkpoint has left it
  else
    start(model_of(kWho, context), nullptr);
}

void TrainingAwareDataSparsity::on_train_epoch_start(TrainContext&) {
  if (state_) data_sparsifier_->load_state_dict(*state_);
}

void TrainingAwareDataSparsity::on_train_epoch_end(TrainContext& context) {
  check_started("on_train_epoch_end");
  const nn::ModulePtr copy = model_of(kWho, context).clone();
  attach_model(*data_sparsifier_, *copy, select_);  // what is replaced keeps its settings and its mask
  sparsified_ = copy;
  data_sparsifier_->step();
  data_scheduler_->step();
  state_ = data_sparsifier_->state_dict();
}

void TrainingAwareDataSparsity::on_train_end(TrainContext&) {
  check_started("on_train_end");
  std::vector<std::string> left;
  for (const std::string& name : data_sparsifier_->names())
    if (data_sparsifier_->is_parametrized(name)) left.push_back(name);
  if (left.empty()) return;
  data_sparsifier_->squash_mask(left);
  // The sparsifier may hold copies of the data, since it took a state back.
  const NoGrad guard;
  for (auto& [name, parameter] : data_of(*sparsified_, select_)) {
    const Tensor squashed = data_sparsifier_->get_data(name, false);
    Tensor own = parameter;
    if (!own.is(squashed)) own.copy_(squashed);
  }
}

Checkpoint::Part TrainingAwareDataSparsity::checkpoint_part() {
  return state_part(
      "data_sparsity",
      [this]() -> Arguments {
        check_started("saving a checkpoint");
        return {{"sparsifier", to_arguments(data_sparsifier_->state_dict())},
                {"scheduler", data_scheduler_->state_dict()}};
      },
      [this](const Arguments& from, const TrainContext& context, const Limits& limits) {
        start(model_of(kWho, context), &from, limits);
        resumed_ = true;
      },
      [this] {  // what start() replaces is not changed
        return [this, sparsifier = data_sparsifier_, scheduler = data_scheduler_, copy = sparsified_, state = state_,
                resumed = resumed_] {
          data_scheduler_ = scheduler;  // first: the present one refers to the present sparsifier
          data_sparsifier_ = sparsifier;
          sparsified_ = copy;
          state_ = state;
          resumed_ = resumed;
        };
      });
}

}  // namespace coppice::sparsity
