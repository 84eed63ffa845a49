#include "coppice/nn/replace.h"

#include <doctest/doctest.h>

#include "coppice/engine/error.h"
#include "coppice/nn/layers/activation.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"

using namespace coppice;
using namespace coppice::nn;

TEST_SUITE("nn/replace") {
  TEST_CASE("a module is replaced in every place that it has; the rest stays") {
    const auto shared = std::make_shared<ReLU>();
    const auto inner = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{shared, std::make_shared<Tanh>()});
    const auto model =
        std::make_shared<Sequential>(std::initializer_list<ModulePtr>{shared, std::make_shared<Linear>(2, 2), inner});
    const ModulePtr linear = model->child("1"), fresh = std::make_shared<Sigmoid>();
    CHECK(replace_modules(model, {{shared.get(), fresh}}) == model);
    CHECK(model->child("0") == fresh);
    CHECK(model->child("1") == linear);
    CHECK(inner->child("0") == fresh);
  }

  TEST_CASE("the root is replaced by being returned") {
    const auto model = std::make_shared<ReLU>();
    const auto other = std::make_shared<Tanh>();
    CHECK(replace_modules(model, {{model.get(), other}}) == other);
    CHECK(replace_modules(model, {}) == model);
  }

  TEST_CASE("a replacement may hold what it replaces") {
    const auto layer = std::make_shared<ReLU>();
    const auto model = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{layer});
    const auto around = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{layer});
    replace_modules(model, {{layer.get(), around}});
    CHECK(model->child("0") == around);
    CHECK(around->child("0") == layer);
  }

  TEST_CASE("null is refused with nothing changed") {
    const auto layer = std::make_shared<ReLU>(), other = std::make_shared<ReLU>();
    const auto model = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{layer, other});
    CHECK_THROWS_AS(replace_modules(model, {{layer.get(), std::make_shared<Tanh>()}, {other.get(), nullptr}}),
                    ValueError);
    CHECK_THROWS_AS(replace_modules(nullptr, {}), ValueError);
    CHECK(model->child("0") == layer);
  }
}
