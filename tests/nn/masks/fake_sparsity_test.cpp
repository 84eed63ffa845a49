#include "coppice/nn/masks/fake_sparsity.h"

#include <doctest/doctest.h>

#include <thread>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "nn/parametrizations.h"

using namespace coppice;
using namespace coppice::nn::parametrize;
using nn::FakeSparsity, nn::Linear, nn::Module, nn::ModulePtr;
using Names = std::vector<std::string>;

namespace {

/// Linear(3, 2) with weight [[1, 2, 3], [4, 5, 6]] and bias (0, 0).
std::shared_ptr<Linear> small() {
  auto m = std::make_shared<Linear>(3, 2);
  nn::load_state_dict(*m, NamedTensors{{"weight", Tensor::of({{1, 2, 3}, {4, 5, 6}})}, {"bias", zeros({2})}});
  return m;
}

const Tensor kMask = Tensor::of({{1, 0, 1}, {0, 1, 0}});

Names names(const std::vector<nn::NamedTensor>& list) {
  Names out;
  for (const auto& [name, tensor] : list) out.push_back(name);
  return out;
}

}  // namespace

TEST_SUITE("nn/fake_sparsity") {
  TEST_CASE("a registered mask shows in names, values and gradients as in PyTorch") {
    const auto m = small();
    const Tensor weight = m->tensor("weight");
    register_parametrization(*m, "weight", std::make_shared<FakeSparsity>(kMask));
    CHECK(names(m->named_parameters()) == Names{"bias", "parametrizations.weight.original"});
    CHECK(names(m->named_buffers()) == Names{"parametrizations.weight.0.mask"});
    Names modules;
    for (const auto& [path, module] : m->named_modules()) modules.push_back(path);
    CHECK(modules == Names{"", "parametrizations", "parametrizations.weight", "parametrizations.weight.0"});
    CHECK(parametrizations_of(*m, "weight").tensor("original").is(weight));
    CHECK(m->tensor("weight") == Tensor::of({{1, 0, 3}, {0, 5, 0}}));
    CHECK(m->tensor("weight").requires_grad());
    CHECK_FALSE(m->tensor("weight").is_leaf());
    sum((*m)(Tensor::of({{1, 10, 100}}))).backward();
    CHECK(weight.grad() == Tensor::of({{1, 0, 100}, {0, 10, 0}}));
  }

  TEST_CASE("writing into the mask or the original takes effect at the next reading") {
    const auto m = small();
    Tensor mask = kMask.clone();
    const auto p = std::make_shared<FakeSparsity>(mask);
    register_parametrization(*m, "weight", p);
    mask.set_({0, 1}, 1);
    CHECK(m->tensor("weight").at({0, 1}) == 2);
    p->set_tensor("mask", ones({2, 3}));
    CHECK(m->tensor("weight") == Tensor::of({{1, 2, 3}, {4, 5, 6}}));
    NoGrad guard;
    parametrizations_of(*m, "weight").tensor("original").fill_(7);
    CHECK(m->tensor("weight").at({1, 2}) == 7);
  }

  TEST_CASE("masks of bool and integers keep the weight's type, wider ones and other shapes are refused") {
    const auto m = small();
    const Names before = names(m->named_parameters());
    SUBCASE("bool") {
      register_parametrization(*m, "weight", std::make_shared<FakeSparsity>(kMask.to(Dtype::boolean)));
    }
    SUBCASE("int8") { register_parametrization(*m, "weight", std::make_shared<FakeSparsity>(kMask.to(Dtype::i8))); }
    if (is_parametrized(*m)) {
      CHECK(m->tensor("weight") == Tensor::of({{1, 0, 3}, {0, 5, 0}}));
      return;
    }
    SUBCASE("float64") {
      CHECK_THROWS_WITH_AS(register_parametrization(*m, "weight", std::make_shared<FakeSparsity>(kMask.to(Dtype::f64))),
                           doctest::Contains("gives float64 for a tensor of float32"), ValueError);
    }
    SUBCASE("another shape") {
      CHECK_THROWS_WITH_AS(register_parametrization(*m, "weight", std::make_shared<FakeSparsity>(ones({3, 2}))),
                           doctest::Contains("mask (3, 2) for a tensor of shape (2, 3)"), ShapeError);
    }
    SUBCASE("no mask") { CHECK_THROWS_AS(FakeSparsity{Tensor()}, TypeError); }
    CHECK(names(m->named_parameters()) == before);
    CHECK_FALSE(is_parametrized(*m));
  }

  TEST_CASE("it keeps out of state dicts, so that strict loading of a model's own state dict misses the mask") {
    const auto m = small();
    register_parametrization(*m, "weight", std::make_shared<FakeSparsity>(kMask.clone()));
    const NamedTensors saved = nn::state_dict(*m);
    CHECK(saved.names() == Names{"bias", "parametrizations.weight.original"});
    try {
      nn::load_state_dict(*m, saved);
      FAIL("a strict load passed");
    } catch (const nn::LoadError& e) {
      CHECK(e.report.missing == Names{"parametrizations.weight.0.mask"});
    }
    const auto other = small();
    register_parametrization(*other, "weight", std::make_shared<FakeSparsity>(ones({2, 3})));
    NamedTensors changed{{"bias", Tensor::of({5, 6})}, {"parametrizations.weight.original", zeros({2, 3})}};
    SUBCASE("not strict: what is there is loaded, the mask stays") {
      CHECK(nn::load_state_dict(*m, changed, false).missing == Names{"parametrizations.weight.0.mask"});
      CHECK(m->tensor("bias") == Tensor::of({5, 6}));
      CHECK(parametrizations_of(*m, "weight").child("0")->tensor("mask") == kMask);
    }
    SUBCASE("names of a dense model do not fit, in either direction; nothing changes") {
      CHECK_THROWS_AS(nn::load_state_dict(*m, nn::state_dict(*small())), nn::LoadError);
      CHECK_THROWS_AS(nn::load_state_dict(*small(), changed), nn::LoadError);
      const nn::LoadReport report = nn::load_state_dict(*m, nn::state_dict(*small()), false);
      CHECK(report.unexpected == Names{"weight"});
      CHECK(report.missing == Names{"parametrizations.weight.original", "parametrizations.weight.0.mask"});
    }
    SUBCASE("a wrong shape is an error even if not strict, and nothing is copied") {
      changed = NamedTensors{{"bias", Tensor::of({5, 6})}, {"parametrizations.weight.original", zeros({3, 2})}};
      CHECK_THROWS_AS(nn::load_state_dict(*m, changed, false), nn::LoadError);
      CHECK(m->tensor("bias") == zeros({2}));
    }
  }

  TEST_CASE("an LSTM computes with its masks") {
    manual_seed(0);
    nn::LSTM lstm(nn::LstmSettings{.input_size = 3, .hidden_size = 2, .bidirectional = true});
    const Tensor x = randn({4, 1, 3});
    for (const char* name : {"weight_ih_l0", "weight_hh_l0_reverse"}) {
      CAPTURE(name);
      const Tensor before = lstm(x);
      const Tensor mask = zeros(lstm.tensor(name).shape());
      register_parametrization(lstm, name, std::make_shared<FakeSparsity>(mask));
      CHECK_FALSE(lstm(x) == before);
      const Tensor masked = lstm(x);
      remove_parametrizations(lstm, name);
      CHECK(lstm(x) == masked);
    }
  }

  TEST_CASE("pruning and parametrizing the same tensor") {
    const auto m = small();
    SUBCASE("a parametrized tensor is no parameter that could be masked") {
      register_parametrization(*m, "weight", std::make_shared<FakeSparsity>(kMask));
      CHECK_THROWS_AS(nn::attach_mask(*m, "weight", kMask), KeyError);
      CHECK(m->tensor("weight").at({0, 0}) == 1);
    }
    SUBCASE("a masked tensor is none that could be parametrized, but its original is") {
      nn::attach_mask(*m, "weight", kMask);
      CHECK_THROWS_AS(register_parametrization(*m, "weight", std::make_shared<test::Double>()), ValueError);
      register_parametrization(*m, "weight_orig", std::make_shared<test::AddOne>());
      CHECK(m->tensor("weight") == Tensor::of({{2, 0, 4}, {0, 6, 0}}));
      const ModulePtr copy = m->clone();
      nn::make_permanent(*copy);
      CHECK(names(copy->named_parameters()) == Names{"bias", "weight"});
      CHECK(copy->tensor("weight") == m->tensor("weight"));
      CHECK(nn::is_masked(*m, "weight"));
    }
    SUBCASE("the original of a parametrization may be masked") {
      register_parametrization(*m, "weight", std::make_shared<test::AddOne>());
      nn::attach_mask(parametrizations_of(*m, "weight"), "original", kMask);
      CHECK(m->tensor("weight") == Tensor::of({{2, 1, 4}, {1, 6, 1}}));
      nn::make_permanent(*m);
      CHECK(m->tensor("weight") == Tensor::of({{2, 1, 4}, {1, 6, 1}}));
      CHECK_FALSE(is_parametrized(*m));
    }
  }

  TEST_CASE("a failed registration leaves the values, where right_inverse would have changed them") {
    const auto m = small();
    const Tensor weight = m->tensor("weight"), start = weight.clone();
    const std::uint64_t version = weight.version();
    CHECK_THROWS_AS(register_parametrization(*m, "weight", std::make_shared<test::HalvesAndShrinks>()), ValueError);
    CHECK(m->tensor("weight").is(weight));
    CHECK(weight == start);
    CHECK(weight.version() == version);
    CHECK(names(m->named_parameters()) == Names{"weight", "bias"});
    CHECK_FALSE(m->has("parametrizations"));
  }

  TEST_CASE("a name that is taken is refused") {
    const auto m = small();
    m->register_buffer("parametrizations", zeros({1}));
    CHECK_THROWS_AS(register_parametrization(*m, "weight", std::make_shared<test::Same>()), KeyError);
    CHECK(m->own_parameters().contains("weight"));
    const auto other = small();
    other->add_module("parametrizations", std::make_shared<nn::ReLU>());
    CHECK_THROWS_AS(register_parametrization(*other, "weight", std::make_shared<test::Same>()), KeyError);
    const auto no_bias = std::make_shared<Linear>(3, 2, false);
    CHECK_THROWS_AS(register_parametrization(*no_bias, "bias", std::make_shared<test::Same>()), ValueError);
  }

  TEST_CASE("frozen parameters stay frozen, gradients stay when the original comes back") {
    const auto m = small();
    Tensor weight = m->tensor("weight");
    weight.requires_grad_(false);
    register_parametrization(*m, "weight", std::make_shared<FakeSparsity>(kMask));
    CHECK_FALSE(m->tensor("weight").requires_grad());
    weight.requires_grad_(true);
    sum(m->tensor("weight")).backward();
    remove_parametrizations(*m, "weight");
    CHECK(m->tensor("weight").grad() == kMask);
    CHECK(m->tensor("weight") == Tensor::of({{1, 0, 3}, {0, 5, 0}}));
  }

  TEST_CASE("a cached value is of its thread, and outlives changes until the scope ends") {
    const auto m = small();
    Tensor mask = kMask.clone();
    register_parametrization(*m, "weight", std::make_shared<FakeSparsity>(mask));
    {
      const Cached scope;
      const Tensor held = m->tensor("weight");
      mask.fill_(1);
      CHECK(m->tensor("weight").is(held));
      Tensor elsewhere;
      std::thread([&] { elsewhere = m->tensor("weight"); }).join();
      CHECK(elsewhere == Tensor::of({{1, 2, 3}, {4, 5, 6}}));
    }
    CHECK(m->tensor("weight") == Tensor::of({{1, 2, 3}, {4, 5, 6}}));
  }

  TEST_CASE("a tensor whose original is pruned cannot be written, nor handed on, and nothing changes") {
    const auto m = small();
    register_parametrization(*m, "weight", std::make_shared<test::Double>());
    nn::attach_mask(parametrizations_of(*m, "weight"), "original", kMask);
    const Tensor before = m->tensor("weight").detach().clone();
    const NoGrad off;
    CHECK_THROWS_AS(m->set_tensor("weight", ones({2, 3})), StateError);
    CHECK(m->tensor("weight") == before);
    const auto to = small();
    CHECK_THROWS_AS(transfer_parametrizations_and_params(*m, *to), StateError);
    CHECK_FALSE(is_parametrized(*to));
    CHECK_THROWS_AS(transfer_parametrizations_and_params(*m, *m), ValueError);
    CHECK(m->tensor("weight") == before);
  }

  TEST_CASE("an original is a copy of what was written, whatever right_inverse returns") {
    const auto m = small();
    register_parametrization(*m, "weight", std::make_shared<test::SameBothWays>());
    Tensor written = ones({2, 3});
    m->set_tensor("weight", written);
    written.fill_(5);
    CHECK(m->tensor("weight") == ones({2, 3}));
  }

  TEST_CASE("several originals leave a parameter that needs a gradient as they do, in any grad mode") {
    for (const bool frozen : {false, true}) {
      const auto m = small();
      Tensor weight = m->tensor("weight");
      weight.requires_grad_(!frozen);
      register_parametrization(*m, "weight", std::make_shared<test::Sum>());
      const NoGrad off;
      remove_parametrizations(*m, "weight");
      CHECK(m->own_parameters().contains("weight"));
      CHECK(m->tensor("weight").requires_grad() == !frozen);
    }
  }

  TEST_CASE("a registration that fails leaves the modes of the parametrization's own parts") {
    const auto m = small();
    const auto part = std::make_shared<nn::ReLU>();
    const auto p = std::make_shared<nn::Sequential>(
        std::initializer_list<nn::ModulePtr>{part, std::make_shared<test::FirstRow>()});
    part->eval();
    CHECK_THROWS_AS(register_parametrization(*m, "weight", p), ValueError);
    CHECK_FALSE(part->training());
    CHECK(p->training());
  }
}
