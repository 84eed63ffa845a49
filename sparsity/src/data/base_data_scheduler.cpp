#include "coppice/sparsity/data/base_data_scheduler.h"

#include <cmath>
#include <ostream>

#include "coppice/engine/checked.h"
#include "coppice/engine/warn.h"
#include "scheduler/counts.h"

namespace coppice::sparsity {
namespace {

/// One setting of all data; nothing where there is none.
Arguments param_of(const BaseDataSparsifier& sparsifier, const std::string& key) {
  Arguments out;
  for (const std::string& name : sparsifier.names()) {
    const Argument* value = sparsifier.group(name).find(key);
    out.set(name, value == nullptr ? Argument() : *value);
  }
  return out;
}

/// @throws ValueError  if there are data and none of them has the setting
void check_known(const Arguments& values, const std::string& key) {
  bool known = values.empty();
  for (const auto& [name, value] : values) known = known || values.has(name);
  if (!known) throw ValueError(cat("[BaseDataScheduler] none of the data has the setting ", quote(key)));
}

/// Sets back what throwing would leave.
class Restore {
 public:
  Restore(std::int64_t& epoch, bool& stepping) : epoch_(&epoch), stepping_(&stepping), was_(epoch) {}
  ~Restore() {
    *stepping_ = false;
    if (!kept_) *epoch_ = was_;
  }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;
  void keep() { kept_ = true; }

 private:
  std::int64_t* epoch_;
  bool* stepping_;
  std::int64_t was_;
  bool kept_ = false;
};

}  // namespace

BaseDataScheduler::BaseDataScheduler(BaseDataSparsifier& data_sparsifier, std::string schedule_param,
                                     std::int64_t last_epoch, std::ostream* log)
    : sparsifier_(&data_sparsifier),
      schedule_param_(std::move(schedule_param)),
      last_epoch_(last_epoch),
      log_(log),
      base_param_(param_of(data_sparsifier, schedule_param_)) {
  check_epoch(last_epoch);
  check_known(base_param_, schedule_param_);
}

void BaseDataScheduler::start() {
  if (step_count_ != 0) throw StateError(cat("[", type_name(), "] start() is for the end of the constructor"));
  const std::int64_t before = sparsifier_->step_count_;
  sparsifier_->step_count_ = 0;
  try {
    advance();
  } catch (...) {
    sparsifier_->step_count_ = before;
    throw;
  }
}

void BaseDataScheduler::step() {
  if (step_count_ == 0) throw StateError(cat("[", type_name(), "] its constructor has not called start()"));
  if (step_count_ == 1 && sparsifier_->step_count_ < 1)
    warn(
        "[BaseDataScheduler] scheduler.step() is called before data_sparsifier.step(): the sparsifier should step "
        "first in every epoch, or its first level is never used");
  advance();
}

void BaseDataScheduler::advance() {
  check_epoch(last_epoch_ + 1);
  Restore restore(last_epoch_, stepping_);
  stepping_ = true;
  ++last_epoch_;
  const Arguments values = get_schedule_param();
  for (const auto& [name, value] : values) {
    if (!sparsifier_->contains(name))
      throw KeyError(cat("[", type_name(), "] get_schedule_param() names ", quote(name), ", which is no datum"));
    if (!sparsifier_->group(name).has(schedule_param_))
      throw KeyError(cat("[", type_name(), "] ", quote(name), " has no setting ", quote(schedule_param_)));
    if (const auto* number = std::get_if<double>(&value); number != nullptr && std::isnan(*number))
      throw ValueError(cat("[", type_name(), "] get_schedule_param() gives nan for ", quote(name)));
  }
  for (const auto& [name, value] : values) {
    sparsifier_->set_config(name, schedule_param_, value);
    if (log_ != nullptr)
      *log_ << "Adjusting " << schedule_param_ << " for group " << name << " to " << to_string(value) << '\n';
  }
  last_param_ = param_of(*sparsifier_, schedule_param_);
  sparsifier_->enable_mask_update = true;
  ++step_count_;
  restore.keep();
}

double BaseDataScheduler::current(std::string_view name) const {
  return sparsifier_->group(name).number(schedule_param_);
}

bool BaseDataScheduler::within_step() const {
  if (!stepping_) warn("[BaseDataScheduler] to get the values of the last step, call get_last_param()");
  return stepping_;
}

Arguments BaseDataScheduler::state_dict() const {
  Arguments out;
  out.set("schedule_param", schedule_param_);
  out.set("base_param", base_param_.clone());
  out.set("last_epoch", last_epoch_);
  out.set("_step_count", step_count_);
  out.set("_last_param", last_param_.clone());
  for (const auto& [key, value] : own_state()) out.set(key, value);
  return out;
}

void BaseDataScheduler::load_state_dict(const Arguments& from) {
  const Arguments state = from.clone();  // remembers for itself what was read
  std::string schedule_param = state.text("schedule_param");
  Arguments base = state.map("base_param").clone(), last = state.map("_last_param").clone();
  const std::int64_t epoch = state.integer("last_epoch"), count = state.integer("_step_count");
  check_epoch(epoch);
  check_step_count(count);
  check_known(param_of(*sparsifier_, schedule_param), schedule_param);
  for (const Arguments* values : {&base, &last})
    for (const auto& [name, value] : *values) {
      if (const auto* number = std::get_if<double>(&value); number != nullptr && std::isnan(*number))
        throw ValueError(cat("[load_state_dict] ", type_name(), ": the value of ", quote(name), " is nan"));
      // What it was made or stepped with may have been deleted since.
      if (!sparsifier_->contains(name) && base_param_.find(name) == nullptr && last_param_.find(name) == nullptr)
        throw KeyError(cat("[load_state_dict] ", type_name(), ": ", quote(name), " is no datum of the sparsifier"));
    }
  for (const auto& [key, value] : own_state()) (void)state.has(key);
  state.reject_unread(type_name());
  load_own_state(state);
  schedule_param_ = std::move(schedule_param);
  base_param_ = std::move(base);
  last_param_ = std::move(last);
  last_epoch_ = epoch;
  step_count_ = count;
}

std::string to_string(const BaseDataScheduler& scheduler) {
  return cat(scheduler.type_name(), " (\nData Sparsifier ", scheduler.data_sparsifier(), "\n    ",
             scheduler.schedule_param(), ": ", to_string(scheduler.base_param()), "\n)");
}

}  // namespace coppice::sparsity
