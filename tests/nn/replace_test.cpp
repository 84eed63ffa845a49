#include "coppice/nn/replace.h"

#include <doctest/doctest.h>

#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/nn/layers/activation.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/packed/linear.h"
#include "coppice/nn/packed/unpack.h"

using namespace coppice;
using namespace coppice::nn;

namespace {

/// What a program that quantises, say, puts in the place of a Linear: another type with other tensors.
class Halved final : public Implements<Halved> {
 public:
  static constexpr std::string_view kType = "Halved";
  explicit Halved(const Linear& from) { register_buffer("table", from.tensor("weight").detach() * 0.5); }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x * tensor("table"); }
};

}  // namespace

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

  TEST_CASE("a program swaps a layer for one of its own: hooks, mode and plain tensors go with the place") {
    const auto layer = std::make_shared<Linear>(2, 2, false);
    layer->tensor("weight").replace_(Tensor::of({{2, 4}, {6, 8}}));
    const auto model = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{layer, std::make_shared<ReLU>()});
    std::string log;
    const auto before = [&log](const Module& m, auto&) { return log += cat("<", m.type_name()), std::nullopt; };
    const auto after = [&log](const Module& m, auto&, auto&) { return log += cat(m.type_name(), ">"), std::nullopt; };
    HookHandle first = layer->register_forward_pre_hook(before), last = layer->register_forward_hook(after);
    layer->set_tensor("scale", Tensor::of(3));
    layer->set_tensor("table", Tensor::of(4));  // a name that the new one needs itself
    const Tensor scale = layer->tensor("scale");
    layer->eval();
    const auto halved = std::make_shared<Halved>(*layer);
    CHECK(halved->training());

    CHECK(replace_modules(model, {{layer.get(), halved}}) == model);
    CHECK((*model)(ones({2, 2})) == Tensor::of({{1, 2}, {3, 4}}));
    CHECK(log == "<HalvedHalved>");
    CHECK_FALSE(halved->training());
    CHECK(model->training());
    CHECK(halved->tensor("scale").is(scale));
    CHECK(halved->own_buffers().contains("table"));
    CHECK(layer->forward_hooks().empty());
    first.remove();
    last.remove();
    (void)(*model)(ones({2, 2}));
    CHECK(log == "<HalvedHalved>");
  }

  TEST_CASE(
      "what is replaced by a module around it keeps its hooks; a shared module and the root hand on theirs once") {
    int calls = 0;
    const auto count = [&calls](auto&, auto&, auto&) { return ++calls, std::nullopt; };
    const auto layer = std::make_shared<ReLU>(), twice = std::make_shared<ReLU>();
    layer->register_forward_hook(count);
    twice->register_forward_hook(count);
    const auto model = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{layer, twice, twice});
    model->register_forward_hook(count);
    const auto around = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{layer});
    const auto fresh = std::make_shared<Tanh>();
    replace_modules(model, {{layer.get(), around}, {twice.get(), fresh}});
    CHECK(around->forward_hooks().empty());
    CHECK(layer->forward_hooks().list().size() == 1);
    CHECK(fresh->forward_hooks().list().size() == 1);
    const auto top = std::make_shared<Identity>();
    CHECK(replace_modules(model, {{model.get(), top}}) == top);
    CHECK(top->forward_hooks().list().size() == 1);
    (void)(*model)(ones({1}));
    CHECK(calls == 3);
    (void)(*top)(ones({1}));
    CHECK(calls == 4);
  }

  TEST_CASE("modules that change places: hooks, mode and plain tensors stay with the places") {
    std::string log;
    const auto says = [&log](char what) {
      return [&log, what](auto&, auto&, auto&) { return log += what, std::nullopt; };
    };
    const auto a = std::make_shared<ReLU>(), b = std::make_shared<ReLU>(), c = std::make_shared<ReLU>();
    const auto model = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{a, b});
    HookHandle first = a->register_forward_hook(says('a'));
    b->register_forward_hook(says('b'));
    b->register_forward_pre_hook([&log](auto&, auto&) { return log += '<', std::nullopt; });
    a->set_tensor("of_a", Tensor::of(1));
    b->set_tensor("of_b", Tensor::of(2));
    const Tensor of_a = a->tensor("of_a"), of_b = b->tensor("of_b");
    a->eval();
    SUBCASE("a swap") {
      (void)replace_modules(model, {{a.get(), b}, {b.get(), a}});
      CHECK(model->child("0") == b);
      CHECK(model->child("1") == a);
      CHECK(a->training());
      CHECK_FALSE(b->training());
      CHECK(a->forward_pre_hooks().size() == 1);
      CHECK(a->forward_hooks().size() == 1);
      CHECK(b->forward_pre_hooks().empty());
      CHECK(b->forward_hooks().size() == 1);
      CHECK(b->tensor("of_a").is(of_a));
      CHECK(a->tensor("of_b").is(of_b));
    }
    SUBCASE("a chain") {
      c->register_forward_hook(says('c'));  // an own one comes before those of the place
      (void)replace_modules(model, {{a.get(), b}, {b.get(), c}});
      CHECK(model->child("0") == b);
      CHECK(model->child("1") == c);
      CHECK_FALSE(b->training());
      CHECK(c->training());
      CHECK(a->forward_hooks().empty());
      CHECK(b->forward_pre_hooks().empty());
      CHECK(b->tensor("of_a").is(of_a));
      CHECK(c->tensor("of_b").is(of_b));
      CHECK_FALSE(c->has("of_a"));
      (void)(*c)(ones({1}));
      CHECK(log == "<cb");
      c->register_forward_hook(says('d'));
      log.clear();
      (void)(*c)(ones({1}));
      CHECK(log == "<cbd");
      return;
    }
    (void)(*model)(ones({1}));
    CHECK(log == "a<b");
    first.remove();
    log.clear();
    (void)(*model)(ones({1}));
    CHECK(log == "<b");
  }

  TEST_CASE("two modules with one replacement give it the hooks of both") {
    std::string log;
    const auto says = [&log](char what) {
      return [&log, what](auto&, auto&, auto&) { return log += what, std::nullopt; };
    };
    const auto a = std::make_shared<ReLU>(), b = std::make_shared<ReLU>(), both = std::make_shared<ReLU>();
    const auto model = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{a, b});
    a->register_forward_hook(says('a'));
    HookHandle second = b->register_forward_hook(says('b'));
    (void)replace_modules(model, {{a.get(), both}, {b.get(), both}});
    CHECK(both->forward_hooks().size() == 2);
    (void)(*both)(ones({1}));
    CHECK(log == "ab");
    second.remove();
    (void)(*both)(ones({1}));
    CHECK(log == "aba");
  }

  TEST_CASE("what stands inside a replaced module goes with it, also if it was to be replaced itself") {
    const auto inner = std::make_shared<ReLU>();
    auto outer = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{inner});
    const auto model = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{outer});
    const auto fresh = std::make_shared<Tanh>();
    const Replacements both{{outer.get(), fresh}, {inner.get(), std::make_shared<Sigmoid>()}};
    const std::weak_ptr<Sequential> gone = outer;
    outer.reset();
    replace_modules(model, both);
    CHECK(model->child("0") == fresh);
    CHECK(gone.expired());
  }

  TEST_CASE("unpacking hands on the hooks of packed layers") {
    const auto packed = PackedLinear::from_dense(Tensor::of({{1, 0}, {0, 2}}), Tensor(), "csr");
    const auto model = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{packed});
    std::string log;
    HookHandle handle = packed->register_forward_hook(
        [&log](const Module& m, auto&, auto&) { return log += cat(m.type_name(), " "), std::nullopt; });
    (void)(*model)(ones({1, 2}));
    (void)unpack(model);
    (void)(*model)(ones({1, 2}));
    CHECK(log == "PackedLinear Linear ");
    handle.remove();
    (void)(*model)(ones({1, 2}));
    CHECK(log == "PackedLinear Linear ");
  }
}
