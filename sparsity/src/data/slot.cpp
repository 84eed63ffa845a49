#include "slot.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/parametrize.h"
#include "coppice/sparsity/data/base_data_sparsifier.h"

namespace coppice::sparsity {

DataSlot::DataSlot(const Tensor& data) { register_buffer("data", data); }

void DataSlot::parametrize(const Tensor& mask, const Arguments& config) {
  nn::ModulePtr by = config.has("parametrization") ? config.function<MaskParametrization>("parametrization")(mask)
                                                   : std::make_shared<nn::FakeSparsity>(mask);
  nn::parametrize::register_parametrization(*this, "data", std::move(by));
}

bool DataSlot::is_parametrized() const { return nn::parametrize::is_parametrized(*this, "data"); }

Tensor DataSlot::original() const { return nn::parametrize::parametrizations_of(*this, "data").originals().at(0); }

void DataSlot::check_squashable(std::string_view name) const {
  if (!original().is_leaf())
    throw StateError(
        cat("[squash_mask] ", quote(name), " is the result of an operation, which cannot show other values"));
  const NoGrad guard;
  (void)value();
}

void DataSlot::squash(bool leave_parametrized) {
  nn::parametrize::remove_parametrizations(*this, "data", leave_parametrized);
}

}  // namespace coppice::sparsity
