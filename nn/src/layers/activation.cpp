#include "coppice/nn/layers/activation.h"

#include "coppice/engine/checked.h"
namespace coppice::nn {

GELU::GELU(const Arguments& a) {
  const std::string form = a.text("approximate", "none");
  if (form != "none" && form != "tanh")
    throw ValueError(cat("[GELU] approximate must be 'none' or 'tanh'; got ", quote(form)));
  tanh_form_ = form == "tanh";
}

Dropout::Dropout(double p) : p_(p) {
  if (!(p >= 0 && p <= 1)) throw ValueError(cat("[Dropout] p must be in 0..1; got ", p));
}

Dropout::Dropout(const Arguments& a) : Dropout(a.number("p", 0.5)) { (void)a.boolean("inplace", false); }

}  // namespace coppice::nn
