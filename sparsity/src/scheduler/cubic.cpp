#include "coppice/sparsity/scheduler/cubic.h"

#include <algorithm>
#include <cmath>

namespace coppice::sparsity {

CubicSL::CubicSL(BaseSparsifier& sparsifier, const CubicSettings& settings, std::int64_t last_epoch,
                 std::ostream* verbose)
    : BaseScheduler(sparsifier, last_epoch, verbose) {
  const std::size_t n = base_sl().size();
  curves_ = {settings.init_sl.of(n, "init_sl"), settings.init_t.of(n, "init_t"), settings.delta_t.of(n, "delta_t"),
             settings.total_t.of(n, "total_t"), settings.initially_zero.of(n, "initially_zero")};
  curves_.check(n);
  start();
}

void CubicSL::Curves::check(std::size_t groups) const {
  for (const std::vector<double>* list : {&init_sl, &init_t, &delta_t, &total_t}) {
    if (list->size() != groups)
      throw ValueError(cat("[CubicSL] a list of ", list->size(), " values for ", groups, " groups"));
    if (std::ranges::any_of(*list, [](double x) { return std::isnan(x); }))
      throw ValueError("[CubicSL] a setting is NaN");
  }
  if (initially_zero.size() != groups)
    throw ValueError(cat("[CubicSL] a list of ", initially_zero.size(), " values for ", groups, " groups"));
  for (std::size_t i = 0; i < groups; ++i)
    if (delta_t[i] * total_t[i] == 0 || std::isnan(delta_t[i] * total_t[i]))
      throw ValueError(cat("[CubicSL] delta_t * total_t must not be 0; got ", delta_t[i], " and ", total_t[i]));
}

std::vector<double> CubicSL::levels() const {
  const auto t = static_cast<double>(last_epoch());
  std::vector<double> out;
  for (std::size_t i = 0; i < base_sl().size(); ++i) {
    const double s0 = curves_.init_sl[i], sf = base_sl()[i], since = t - curves_.init_t[i];
    if (curves_.initially_zero[i] && since < 0) {
      out.push_back(0);
      continue;
    }
    const double left = 1 - since / (curves_.delta_t[i] * curves_.total_t[i]);
    const double level = sf + (s0 - sf) * std::pow(left, 3.0);  // Python's power, to the last bit
    out.push_back(std::max(s0, std::min(sf, level)));
  }
  return out;
}

void CubicSL::save(Arguments& state) const {
  state.set("init_sl", curves_.init_sl);
  state.set("init_t", curves_.init_t);
  state.set("delta_t", curves_.delta_t);
  state.set("total_t", curves_.total_t);
  std::vector<std::int64_t> zero(curves_.initially_zero.begin(), curves_.initially_zero.end());
  state.set("initially_zero", std::move(zero));
}

void CubicSL::load(const Arguments& state) {
  Curves loaded{
      state.numbers("init_sl"), state.numbers("init_t"), state.numbers("delta_t"), state.numbers("total_t"), {}};
  for (const std::int64_t zero : state.integers("initially_zero")) loaded.initially_zero.push_back(zero != 0);
  loaded.check(base_sl().size());
  curves_ = std::move(loaded);
}

}  // namespace coppice::sparsity
