#include "coppice/sparsity/scheduler/cubic_schedule.h"

#include "coppice/engine/error.h"

namespace coppice::sparsity {

void CubicSchedule::check() const {
  if (!(initial >= 0 && initial <= 1 && final >= 0 && final <= 1))
    throw ValueError(cat("[CubicSchedule] sparsities must be in 0..1; got ", initial, " and ", final));
  if (begin < 0 || end <= begin)
    throw ValueError(cat("[CubicSchedule] needs 0 <= begin < end; got ", begin, " and ", end));
  if (every < 1) throw ValueError(cat("[CubicSchedule] every must be at least 1; got ", every));
}

double CubicSchedule::at(std::int64_t step) const {
  if (step <= begin) return initial;
  if (step >= end) return final;
  const double left = 1 - static_cast<double>(step - begin) / static_cast<double>(end - begin);
  return final + (initial - final) * left * left * left;
}

bool CubicSchedule::changes_at(std::int64_t step) const {
  return step == end || (step >= begin && step < end && (step - begin) % every == 0);
}

}  // namespace coppice::sparsity
