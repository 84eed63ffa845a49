// Saving and loading what a sparsifier knows, with the traps of PyTorch's way (T1 to T4).
#include <doctest/doctest.h>

#include "sparsity/sparsifier/models.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::testing;
using nn::ModulePtr;
using Names = std::vector<std::string>;

namespace {

/// A sparsifier that has stepped on linear1 and seq.0 of a model of its own.
struct Stepped {
  ModulePtr model = simple_linear();
  ImplementedSparsifier sparsifier{Arguments{{"test", std::int64_t{3}}}};
  explicit Stepped(const SparsifierConfig& config = {at("linear1.weight"), at("seq.0.weight")}) {
    sparsifier.prepare(model, config);
    sparsifier.step();
  }
};

/// The state with `value` for `key` of the group `index`, or of the state of linear1.
Arguments changed(const Arguments& state, std::string_view part, std::string_view entry, std::string_view key,
                  Argument value) {
  Arguments whole = state.clone(), map = whole.map(part), inner = map.map(entry);
  inner.set(key, std::move(value));
  map.set(entry, inner);
  whole.set(part, map);
  return whole;
}

const Tensor kOnes = ones({4, 4}, Dtype::boolean);

}  // namespace

TEST_SUITE("sparsity/sparsifier/state") {
  TEST_CASE("state_dict is a copy that names tensors by path") {
    Stepped a;
    const Arguments saved = a.sparsifier.state_dict();
    CHECK(saved.map("groups").map("0") == at("linear1.weight", {{"test", std::int64_t{3}}}));
    CHECK(saved.map("groups").size() == 2);
    CHECK(saved.map("state").map("linear1.weight").integer("step_count") == 2);
    const Tensor mask = saved.map("state").map("linear1.weight").tensor("mask");
    CHECK(mask.at({0, 0}) == 0);
    CHECK_FALSE(mask.is(a.sparsifier.groups()[0].mask()));
    a.sparsifier.groups()[0].mask().fill_(1);
    CHECK(mask.at({0, 0}) == 0);
  }

  TEST_CASE("state_dict has the mask that stands on the tensor, also where somebody put another there") {
    Stepped a;
    nn::Module& linear1 = *a.model->find_module("linear1");
    nn::parametrize::parametrizations_of(linear1, "weight").child("0")->set_tensor("mask", eye(4));
    CHECK(a.sparsifier.state_dict().map("state").map("linear1.weight").tensor("mask") == eye(4));
    CHECK(a.sparsifier.groups()[0].mask() == eye(4));
  }

  TEST_CASE("loading leaves the source and its masks alone") {
    Stepped a, b;
    const Arguments saved = a.sparsifier.state_dict();
    b.sparsifier.load_state_dict(saved);
    CHECK(a.sparsifier.state("linear1.weight").has("mask"));
    CHECK(b.sparsifier.state("linear1.weight").has("mask"));
    CHECK(saved.map("state").map("linear1.weight").has("mask"));
    CHECK(b.sparsifier.state_dict() == saved);
  }

  TEST_CASE("after loading nothing is shared") {
    Stepped a;
    Stepped b({at("linear1.weight"), at("seq.0.weight")});
    const Tensor before = b.sparsifier.groups()[0].mask();
    b.sparsifier.load_state_dict(a.sparsifier.state_dict());
    CHECK(b.sparsifier.groups()[0].mask().is(before));  // and the mask object stays the same
    CHECK(b.sparsifier.state("linear1.weight").tensor("mask").is(before));
    a.sparsifier.groups()[0].mask().zero_();
    a.sparsifier.state("linear1.weight").set("step_count", std::int64_t{9});
    a.sparsifier.groups()[0].config.set("test", std::int64_t{9});
    CHECK(count_nonzero(before) == 12);
    CHECK(b.sparsifier.state("linear1.weight").integer("step_count") == 2);
    CHECK(b.sparsifier.groups()[0].config.integer("test") == 3);
  }

  TEST_CASE("layers that the state does not list are dense again") {
    Stepped a({at("linear1.weight")});
    ImplementedSparsifier s;
    const ModulePtr model = simple_linear();
    const Tensor dense = model->find_module("linear2")->tensor("weight").detach().clone();
    s.prepare(model);
    s.step();
    s.load_state_dict(a.sparsifier.state_dict());
    CHECK(s.groups().size() == 1);
    CHECK(s.state().size() == 1);
    CHECK_FALSE(nn::parametrize::is_parametrized(*model->find_module("linear2")));
    CHECK(model->find_module("linear2")->tensor("weight") == dense);
    s.squash_mask();
    CHECK(nn::masks_in(*model).empty());
  }

  TEST_CASE("a mask of another shape or type is refused, strict or not, and nothing changes") {
    Stepped a, b;
    b.sparsifier.groups()[0].mask().fill_(1);
    b.sparsifier.groups()[1].mask().fill_(1);
    const Arguments before = b.sparsifier.state_dict(), saved = a.sparsifier.state_dict();
    for (const bool strict : {true, false}) {
      CHECK_THROWS_AS(b.sparsifier.load_state_dict(changed(saved, "state", "seq.0.weight", "mask", kOnes), strict),
                      ShapeError);
      CHECK_THROWS_AS(b.sparsifier.load_state_dict(
                          changed(saved, "state", "seq.0.weight", "mask", ones({5, 7}, Dtype::f64)), strict),
                      ValueError);
    }
    CHECK(b.sparsifier.state_dict() == before);
    CHECK(b.sparsifier.groups()[0].mask() == kOnes);
    b.sparsifier.load_state_dict(changed(saved, "state", "linear1.weight", "mask", eye(4)));
    CHECK(b.sparsifier.groups()[0].mask() == eye(4));  // in the type of the file
    CHECK(b.model->find_module("linear1")->tensor("weight").at({0, 1}) == 0);
  }

  TEST_CASE("a state without a mask leaves the mask that is there") {
    Stepped a, b;
    b.sparsifier.groups()[0].mask().fill_(1);
    Arguments saved = a.sparsifier.state_dict();
    saved.set("state", Arguments{{"seq.0.weight", Arguments{{"seen", true}}}});
    b.sparsifier.load_state_dict(saved);
    CHECK(b.sparsifier.groups()[0].mask() == kOnes);
    CHECK(b.sparsifier.state("seq.0.weight").boolean("seen"));
    CHECK_FALSE(b.sparsifier.state("linear1.weight").has("step_count"));
  }

  TEST_CASE("tensors that the model lacks or has not prepared: refused, or left out if not strict") {
    Stepped a;
    const Arguments saved = a.sparsifier.state_dict();
    ImplementedSparsifier none;
    CHECK_THROWS_AS(none.load_state_dict(saved), StateError);  // no model

    Stepped some({at("linear1.weight")});
    CHECK_THROWS_AS(some.sparsifier.load_state_dict(saved), StateError);
    CHECK(some.sparsifier.load_state_dict(saved, false) == Names{"seq.0.weight"});
    CHECK(some.sparsifier.groups().size() == 1);

    ImplementedSparsifier other;
    other.prepare(std::make_shared<nn::Linear>(4, 4));
    CHECK_THROWS_AS(other.load_state_dict(saved), KeyError);
    CHECK(other.load_state_dict(saved, false) == Names{"linear1.weight", "seq.0.weight"});
    CHECK(other.load_state_dict({{"state", Arguments()}, {"groups", Arguments()}}).empty());
  }

  TEST_CASE("a module under two names goes by the one under which it was prepared") {
    const auto shared = std::make_shared<nn::Linear>(2, 2);
    ImplementedSparsifier s;
    s.prepare(std::make_shared<nn::Sequential>(std::initializer_list<ModulePtr>{shared, shared}));
    const Arguments saved = s.state_dict();
    CHECK_THROWS_AS(s.load_state_dict({{"state", Arguments()}, {"groups", Arguments{{"0", at("1.weight")}}}}),
                    StateError);
    CHECK(s.state_dict() == saved);
  }

  TEST_CASE("what is no state of a sparsifier is refused by category, and nothing changes") {
    Stepped a, b;
    const Arguments saved = a.sparsifier.state_dict(), before = b.sparsifier.state_dict();
    const auto load = [&](const Arguments& state) { b.sparsifier.load_state_dict(state); };
    CHECK_THROWS_AS(load({}), KeyError);
    CHECK_THROWS_AS(load({{"state", Arguments()}}), KeyError);
    CHECK_THROWS_AS(load({{"state", Arguments()}, {"groups", Arguments{{"0", Arguments()}}}}), KeyError);
    CHECK_THROWS_AS(load({{"state", Arguments()}, {"groups", Arguments{{"0", 1.5}}}}), TypeError);
    CHECK_THROWS_AS(load({{"state", Arguments()}, {"groups", Arguments()}, {"more", true}}), KeyError);
    CHECK_THROWS_AS(load(changed(saved, "groups", "1", "tensor_fqn", std::string("linear1.weight"))), ValueError);
    CHECK_THROWS_AS(load(changed(saved, "groups", "1", "tensor_fqn", 0.5)), TypeError);
    CHECK_THROWS_AS(load(changed(saved, "state", "linear1.weight", "mask", 0.5)), TypeError);
    Arguments orphan = saved.clone();
    orphan.set("groups", Arguments());
    CHECK_THROWS_AS(load(orphan), ValueError);
    Arguments flat = saved.clone();
    flat.set("state", Arguments{{"linear1.weight", 0.5}});
    CHECK_THROWS_AS(load(flat), TypeError);
    CHECK(b.sparsifier.state_dict() == before);
  }

  TEST_CASE("attach goes on with a model that came from a file") {
    Stepped a;
    const ModulePtr again = a.model->clone();
    a.sparsifier.attach(again);
    CHECK(a.sparsifier.model() == again);
    a.sparsifier.groups()[0].mask().fill_(1);
    CHECK(fake_sparsity(*again, "linear1")->mask() == kOnes);
    CHECK(count_nonzero(fake_sparsity(*a.model, "linear1")->mask()) == 12);
  }
}
