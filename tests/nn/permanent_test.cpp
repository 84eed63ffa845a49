// Masks and parametrizations burnt in, in a whole tree.
#include "coppice/nn/permanent.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::parametrize;

namespace {

/// A derived tensor that is neither a mask nor a parametrization.
class Fixed final : public Derived {
 public:
  [[nodiscard]] Tensor value(const Module&) const override { return ones({2}); }
  [[nodiscard]] std::shared_ptr<Derived> clone() const override { return std::make_shared<Fixed>(); }
};

}  // namespace

TEST_SUITE("nn/permanent") {
  TEST_CASE("masks and parametrizations of all modules become parameters with the values they have") {
    const auto inner_net = std::make_shared<Sequential>();
    inner_net->append(std::make_shared<Linear>(2, 2));
    Sequential net{std::make_shared<Linear>(3, 2), inner_net};
    Module& inner = *net.find_module("1.0");
    attach_mask(*net.child("0"), "weight", Tensor::of({{1, 0, 1}, {0, 1, 0}}));
    register_parametrization(inner, "weight", std::make_shared<FakeSparsity>(Tensor::of({{1, 0}, {0, 1}})));
    const Tensor x = randn({4, 3}), first = net.child("0")->tensor("weight"), before = net(x);
    make_permanent(net);
    CHECK(net(x) == before);
    CHECK(net.child("0")->tensor("weight").detach() == first.detach());
    for (const auto& [name, t] : net.named_parameters()) {
      CAPTURE(name);
      CHECK(name.find("orig") == std::string::npos);
      CHECK(t.requires_grad());
      CHECK(t.is_leaf());
    }
    CHECK(net.named_parameters().size() == 4);
    CHECK(net.named_buffers().empty());
    CHECK_FALSE(is_parametrized(inner));
    make_permanent(net);  // nothing is left to do
    CHECK(net(x) == before);
  }

  TEST_CASE("a plain model stays as it is, tensor by tensor") {
    Linear m(3, 2);
    const Tensor weight = m.tensor("weight");
    make_permanent(m);
    CHECK(m.tensor("weight").is(weight));
  }

  TEST_CASE("a tensor derived in another way is a StateError") {
    Linear m(3, 2);
    m.slots().register_derived("fixed", std::make_shared<Fixed>());
    CHECK_THROWS_AS(make_permanent(m), StateError);
    CHECK(m.tensor("fixed") == ones({2}));
  }
}
