#pragma once
/// Steps of one sparsifier on one weight.

#include "sparsity/sparsifier/models.h"

namespace coppice::testing {

/// A prepared Linear whose weight is given, and its mask as float32.
template <class Sparsifier>
struct Prepared {
  Sparsifier sparsifier;
  nn::ModulePtr model;

  Prepared(Sparsifier s, const Tensor& weight, Arguments more = {})
      : sparsifier(std::move(s)), model(linear_of(weight)) {
    sparsifier.prepare(model, {at("0.weight", std::move(more))});
  }
  [[nodiscard]] Tensor mask() const { return sparsifier.groups()[0].mask().to(Dtype::f32); }
  [[nodiscard]] Tensor step() {
    sparsifier.step();
    return mask();
  }
  void set(std::string_view key, Argument value) { sparsifier.groups()[0].config.set(key, std::move(value)); }
};

/// The mask after the first step, as float32.
template <class Sparsifier>
[[nodiscard]] Tensor mask_of(Sparsifier s, const Tensor& weight, Arguments more = {}) {
  return Prepared<Sparsifier>(std::move(s), weight, std::move(more)).step();
}

}  // namespace coppice::testing
