/// The gradient of apply_mask, by the judges of the engine's operations.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn/masks/masked.h"
#include "support/gradcheck.h"
#include "support/overwrite.h"

using namespace coppice;

TEST_SUITE("nn/masked") {
  TEST_CASE("apply_mask has the gradient of its values, or refuses after a tensor was overwritten") {
    const Tensor x = Tensor::from(std::vector<double>{0.5, -1.25, 2, 0.75, -0.1, 1.5}, {2, 3});
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::boolean, Dtype::i8}) {
      CAPTURE(to_string(dtype));
      const Tensor mask = Tensor::of({{1, 0, 1}, {0, 1, 1}}).to(dtype);
      // The mask of a float64 weight is no input of its own: masks receive no gradient.
      const auto call = [&](const TensorList& in) {
        return nn::apply_mask(in[0], in.size() > 1 ? in[1].detach() : mask.clone());
      };
      CHECK(testing::gradcheck(call, {x}) == "");
      CHECK(testing::overwrite_check([&](const TensorList& in) { return TensorList{call(in)}; }, {x, mask}) == "");
    }
  }
}
