#include "coppice/sparsity/scheduler/base.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ostream>

#include "coppice/engine/checked.h"
#include "coppice/engine/warn.h"
#include "scheduler/counts.h"
#include "sparsifier/placed.h"

namespace coppice::sparsity {
namespace {

std::vector<double> levels_of(const BaseSparsifier& sparsifier) {
  std::vector<double> out;
  for (const Group& group : sparsifier.groups())
    out.push_back(placed(group, [&] { return group.config.number("sparsity_level"); }));
  return out;
}

}  // namespace

BaseScheduler::BaseScheduler(BaseSparsifier& sparsifier, std::int64_t last_epoch, std::ostream* verbose)
    : sparsifier_(&sparsifier), verbose_(verbose), base_sl_(levels_of(sparsifier)), last_epoch_(last_epoch) {
  check_epoch(last_epoch);
}

void BaseScheduler::start() {
  if (step_count_ != 0) throw StateError("[scheduler] started twice");
  advance(std::nullopt);
  sparsifier_->reset_step_count();
}

void BaseScheduler::step(std::optional<std::int64_t> epoch) {
  if (step_count_ == 0) throw StateError("[scheduler] the constructor must call start()");
  if (step_count_ == 1 && sparsifier_->step_count() < 1)
    warn(
        "Detected call of `scheduler.step()` before `sparsifier.step()`. You have to make sure you run the "
        "sparsifier.step() BEFORE any calls to the scheduler.step().");
  advance(epoch);
}

void BaseScheduler::advance(std::optional<std::int64_t> epoch) {
  (void)levels_of(*sparsifier_);  // every group must have one
  check_epoch(last_epoch_ + 1);
  ++last_epoch_;
  std::vector<double> wanted;
  try {
    wanted = levels();
    if (std::ranges::any_of(wanted, [](double level) { return std::isnan(level); }))
      throw ValueError(cat("[", type_name(), "] a level must be a number; got nan"));
  } catch (...) {
    --last_epoch_;
    throw;
  }
  ++step_count_;
  std::vector<Group>& groups = sparsifier_->groups();
  for (std::size_t i = 0; i < std::min(groups.size(), wanted.size()); ++i) {
    groups[i].config.set("sparsity_level", wanted[i]);
    print(i, wanted[i], epoch);
  }
  last_sl_ = levels_of(*sparsifier_);
  sparsifier_->enable_mask_update = true;
}

std::vector<double> BaseScheduler::get_sl() const {
  warn("To get the last sparsity level computed by the scheduler, please use `get_last_sl()`.");
  return levels();
}

void BaseScheduler::print(std::size_t group, double level, std::optional<std::int64_t> epoch) const {
  if (verbose_ == nullptr) return;
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, level, std::chars_format::scientific, 4).ptr;
  std::string line = "Adjusting";
  if (epoch) {
    const std::string number = cat(*epoch);
    line = cat("Epoch ", std::string(5 - std::min<std::size_t>(5, number.size()), ' '), number, ": adjusting");
  }
  *verbose_ << line << " sparsity level of group " << group << " to " << std::string_view(digits, end) << ".\n";
}

Arguments BaseScheduler::state_dict() const {
  Arguments out{
      {"base_sl", base_sl_}, {"last_epoch", last_epoch_}, {"_step_count", step_count_}, {"_last_sl", last_sl_}};
  save(out);
  return out;
}

void BaseScheduler::load_state_dict(const Arguments& state) {
  const Arguments own = state_dict();
  for (const auto& [key, value] : state)
    if (!own.has(key)) throw KeyError(cat("[load_state_dict] ", type_name(), " has no ", quote(key)));
  std::vector<double> base = state.numbers("base_sl"), last = state.numbers("_last_sl");
  const std::int64_t epoch = state.integer("last_epoch"), count = state.integer("_step_count");
  if (base.size() != base_sl_.size())
    throw ValueError(
        cat("[load_state_dict] base_sl is of ", base.size(), " groups; the scheduler has ", base_sl_.size()));
  // Groups that were prepared after its last step are not in its own states.
  if (const std::size_t groups = sparsifier_->groups().size(); last.size() != groups && last.size() != last_sl_.size())
    throw ValueError(cat("[load_state_dict] _last_sl is of ", last.size(), " groups; the sparsifier has ", groups));
  for (const auto* levels : {&base, &last})
    if (std::ranges::any_of(*levels, [](double level) { return std::isnan(level); }))
      throw ValueError("[load_state_dict] base_sl and _last_sl must be numbers; got nan");
  check_epoch(epoch);
  check_step_count(count);
  load(state);
  base_sl_ = std::move(base);
  last_sl_ = std::move(last);
  last_epoch_ = epoch;
  step_count_ = count;
}

std::string to_string(const BaseScheduler& scheduler) {
  std::string levels;
  for (const double level : scheduler.base_sl()) levels += (levels.empty() ? "" : ", ") + to_string(Argument(level));
  return cat(scheduler.type_name(), " (\nSparsifier ", scheduler.sparsifier(), "\n    base_sl: [", levels, "]\n)");
}

}  // namespace coppice::sparsity
