#include "coppice/sparsity/scheduler/curve.h"

#include <cmath>
#include <initializer_list>

#include "coppice/engine/checked.h"

namespace coppice::sparsity {

double share_of(Curve curve, double x) {
  if (!(x >= 0)) throw ValueError(cat("[share_of] x must be at least 0; got ", x));
  if (x >= 1 || curve == Curve::constant) return 1;
  switch (curve) {
    case Curve::linear: return x;
    case Curve::step: return std::floor(4 * x) / 4;
    case Curve::cubic:
    case Curve::constant: break;
  }
  const double left = 1 - x;
  return 1 - left * left * left;
}

const char* to_string(Curve curve) {
  switch (curve) {
    case Curve::linear: return "linear";
    case Curve::step: return "step";
    case Curve::constant: return "constant";
    case Curve::cubic: break;
  }
  return "cubic";
}

Curve curve_of(std::string_view name) {
  for (const Curve curve : {Curve::cubic, Curve::linear, Curve::step, Curve::constant})
    if (name == to_string(curve)) return curve;
  throw ValueError(cat("[curve_of] a curve is cubic, linear, step or constant; got ", quote(name)));
}

}  // namespace coppice::sparsity
