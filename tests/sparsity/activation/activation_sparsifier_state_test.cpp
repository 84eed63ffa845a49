#include "coppice/sparsity/activation/activation_sparsifier_state.h"

#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/activation/activation_sparsifier.h"

using namespace coppice;
using namespace coppice::sparsity;
using Names = std::vector<std::string>;

namespace {

std::shared_ptr<nn::Sequential> two_layers() {
  return std::make_shared<nn::Sequential>(
      std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Identity>(), std::make_shared<nn::Identity>()});
}

const ActivationOptions kOptions{.aggregate_fn = AggregateFunction("coppice.mean"),
                                 .reduce_fn = ReduceFunction("coppice.mean_dim0"),
                                 .mask_fn = MaskFunction("coppice.magnitude")};
const Tensor kX1 = Tensor::of({{1, -2, 3, -4}, {5, 6, -7, 8}}), kX2 = Tensor::of({{0, 2, 1, 4}, {-5, 1, 7, 1}});

using Sparsifier = ActivationSparsifier;
Tensor one(const Sparsifier::Mask& mask) { return std::get<Tensor>(mask); }

}  // namespace

TEST_SUITE("sparsity/activation/activation_sparsifier_state") {
  TEST_CASE("PyTorch's words for what hooks do") {
    CHECK(to_string(HookState::none) == "None");
    CHECK(to_string(HookState::aggregate) == "aggregate");
    CHECK(to_string(HookState::sparsify) == "sparsify");
  }

  TEST_CASE("a receiver goes on where the source stood, with hooks of its own and nothing shared") {
    const auto a = two_layers(), b = two_layers();
    Sparsifier from(*a, kOptions), to(*b, kOptions);
    from.register_layer(*a->at(0));
    to.register_layer(*b->at(1));
    (void)(*a)(kX1);
    const ActivationSparsifierState state = from.state_dict();
    to.load_state_dict(state);
    CHECK(to.names() == Names{"0"});
    CHECK(b->at(0)->forward_pre_hooks().size() == 1);
    CHECK(b->at(1)->forward_pre_hooks().empty());
    (void)(*b)(kX2);
    CHECK(one(to.data("0")) == Tensor::of({{0.5, 0, 2, 0}, {0, 3.5, 0, 4.5}}));
    CHECK(one(from.data("0")) == kX1);
    CHECK(state.data_groups.find("0")->data->at(0).at(0) == kX1);
    to.step();
    CHECK(one(from.get_mask("0")) == ones({2, 4}));
  }

  TEST_CASE("loading into itself collects once") {
    const auto model = two_layers();
    Sparsifier s(*model, kOptions);
    s.register_layer(*model->at(0));
    s.load_state_dict(s.state_dict());
    (void)(*model)(kX1);
    CHECK(one(s.data("0")) == kX1);
    CHECK(model->at(0)->forward_pre_hooks().size() == 1);
  }

  TEST_CASE("a squashed layer is masked after loading; one that was squashed without a hook has none") {
    const auto a = two_layers(), b = two_layers();
    Sparsifier from(*a, kOptions), to(*b);
    from.register_layer(*a->at(0));
    (void)(*a)(kX1);
    from.step();
    from.squash_mask();
    to.load_state_dict(from.state_dict());
    CHECK((*b)(kX1) == (*a)(kX1));
    CHECK_FALSE((*b)(kX1) == kX1);
    from.squash_mask(false);
    to.load_state_dict(from.state_dict());
    CHECK(to.hook_state("0") == HookState::none);
    CHECK((*b)(kX1) == kX1);
    to.unregister_layer("0");
  }

  TEST_CASE("a state that does not fit is refused, with nothing changed") {
    const auto a = two_layers(), b = two_layers();
    Sparsifier from(*a, kOptions), s(*b, kOptions);
    from.register_layer(*a->at(0));
    s.register_layer(*b->at(1));
    (void)(*a)(kX1);
    const ActivationSparsifierState good = from.state_dict();
    const auto refused = [&](const std::function<void(ActivationSparsifierState&)>& spoil) {
      ActivationSparsifierState state = from.state_dict();
      spoil(state);
      try {
        s.load_state_dict(state);
      } catch (const Error&) {
        CHECK(s.names() == Names{"1"});
        CHECK(b->at(1)->forward_pre_hooks().size() == 1);
        CHECK(b->at(0)->forward_pre_hooks().empty());
        throw;
      }
    };
    using State = ActivationSparsifierState;
    CHECK_THROWS_AS(refused([](State& t) { t.state.clear(); }), KeyError);
    CHECK_THROWS_AS(refused([](State& t) {
                      t.state.set("5", *t.state.find("0"));
                      t.data_groups.set("5", *t.data_groups.find("0"));
                    }),
                    ValueError);
    CHECK_THROWS_AS(refused([](State& t) { t.data_groups.find("0")->options.mask_fn.reset(); }), ValueError);
    CHECK_THROWS_AS(refused([](State& t) { t.data_groups.find("0")->options.sparse_config.set("level", 0.1); }),
                    TypeError);
    CHECK_THROWS_AS(refused([](State& t) { t.state.set("0", {}); }), ValueError);
    CHECK_THROWS_AS(refused([](State& t) { t.state.set("0", std::vector<CooTensor>{}); }), ValueError);
    CHECK_THROWS_AS(refused([](State& t) { t.data_groups.find("0")->data->clear(); }), ValueError);
    CHECK_THROWS_AS(refused([](State& t) {
                      t.data_groups.find("0")->data.reset();
                      t.data_groups.find("0")->hook_state = HookState::sparsify;
                      t.state.set("0", {});
                    }),
                    ValueError);
    CHECK_THROWS_AS(refused([](State& t) {
                      auto& group = *t.data_groups.find("0");
                      group.options.features = std::vector<std::int64_t>{0};
                      group.options.feature_dim = 1;
                    }),
                    ValueError);
    s.load_state_dict(good);
    CHECK(s.names() == Names{"0"});
  }
}
