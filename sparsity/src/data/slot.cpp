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

void DataSlot::drop_signs_of_zeros(const Tensor& mask) {
  Tensor data = value();
  if (!is_floating(data.dtype())) return;
  dispatch(data.dtype(), [&]<class T>() {
    dispatch(mask.dtype(), [&]<class M>() {
      const std::span<const M> kept = mask.data<M>();
      const std::span<T> values = data.mutable_data<T>();
      for (std::size_t i = 0; i < values.size(); ++i)
        if (convert<double>(kept[i]) == 0 && convert<double>(values[i]) == 0) values[i] = T{};
    });
  });
}

}  // namespace coppice::sparsity
