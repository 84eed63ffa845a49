#include "coppice/sparsity/data/step_sl_scheduler.h"

#include <cmath>

namespace coppice::sparsity {
namespace {

std::int64_t checked_size(std::int64_t step_size) {
  if (step_size < 1) throw ValueError(cat("[StepSLScheduler] step_size must be 1 or more; got ", step_size));
  return step_size;
}

double checked_gamma(double gamma) {
  if (std::isnan(gamma)) throw ValueError("[StepSLScheduler] gamma must be a number; got nan");
  return gamma;
}

}  // namespace

StepSLScheduler::StepSLScheduler(BaseDataSparsifier& data_sparsifier, const std::string& schedule_param,
                                 std::int64_t step_size, double gamma, std::int64_t last_epoch, std::ostream* log)
    : BaseDataScheduler(data_sparsifier, schedule_param, last_epoch, log),
      step_size_(checked_size(step_size)),
      gamma_(checked_gamma(gamma)) {
  start();
}

Arguments StepSLScheduler::get_schedule_param() const {
  (void)within_step();
  const bool now = last_epoch() != 0 && last_epoch() % step_size_ == 0;
  Arguments out;
  for (const std::string& name : data_sparsifier().names())
    if (data_sparsifier().group(name).has(schedule_param()))
      out.set(name, now ? current(name) * gamma_ : current(name));
  return out;
}

Arguments StepSLScheduler::own_state() const { return {{"step_size", step_size_}, {"gamma", gamma_}}; }

void StepSLScheduler::load_own_state(const Arguments& from) {
  const double gamma = checked_gamma(from.number("gamma"));
  step_size_ = checked_size(from.integer("step_size"));
  gamma_ = gamma;
}

}  // namespace coppice::sparsity
