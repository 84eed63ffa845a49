#include "coppice/nn/slots.h"

#include <doctest/doctest.h>

#include "coppice/engine/create.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/state_dict.h"
#include "scale.h"

using namespace coppice;
using nn::Linear;
using nn::ModulePtr;
using test::holds, test::Names, test::names_of, test::refusal, test::Scale, test::TwiceOf;

TEST_SUITE("nn/slots") {
  TEST_CASE("slots keep the order of registration, and an empty slot is listed nowhere") {
    Scale m;
    m.register_parameter("bias", Tensor());
    m.register_parameter("shift", Tensor::of({1, 2}));
    m.register_buffer("steps", zeros(Shape{}, Dtype::i64));
    m.register_buffer("cache", Tensor::of(5), false);
    CHECK(names_of(m.named_parameters()) == Names{"factor", "shift"});
    CHECK(names_of(m.named_buffers()) == Names{"steps", "cache"});
    CHECK(names_of(nn::state_dict(m)) == Names{"factor", "shift", "steps"});
    CHECK(m.has("bias"));
    CHECK_FALSE(m.find_tensor("bias").defined());
    CHECK(holds(refusal<KeyError>([&] { (void)m.tensor("bias"); }), "'factor', 'bias', 'shift', 'steps', 'cache'"));
    CHECK_FALSE(m.is_persistent("cache"));
    m.register_buffer("steps", zeros({2}));  // a new value keeps the place
    CHECK(names_of(m.named_buffers()) == Names{"steps", "cache"});
  }

  TEST_CASE("a parameter is the very tensor that was given, and requires grad if it floats") {
    Scale m;
    const Tensor given = Tensor::of({1, 2}), whole = zeros({2}, Dtype::i64);
    m.register_parameter("p", given);
    m.register_parameter("i", whole);
    CHECK(m.tensor("p").is(given));
    CHECK(given.requires_grad());
    CHECK_FALSE(m.tensor("i").requires_grad());
    CHECK_THROWS_AS(m.register_parameter("q", given * 2), ValueError);  // made by an operation
    CHECK_FALSE(m.has("q"));
  }

  TEST_CASE("a name must be new, not empty, without a dot") {
    Scale m;
    m.register_buffer("b", Tensor::of(1));
    m.register_parameter("none", Tensor());
    m.add_module("c", std::make_shared<Scale>());
    m.set_tensor("plain", Tensor::of(1));
    m.slots().register_derived("d", std::make_shared<TwiceOf>("factor"));
    for (const char* name : {"", "a.b", ".", "factor", "none", "b", "c", "plain", "d"}) {
      CAPTURE(name);
      CHECK_THROWS_AS(m.register_parameter(name, Tensor::of(1)), KeyError);
      CHECK_THROWS_AS(m.slots().register_derived(name, std::make_shared<TwiceOf>("b")), KeyError);
      if (std::string_view(name) != "b") CHECK_THROWS_AS(m.register_buffer(name, Tensor::of(1)), KeyError);
      if (std::string_view(name) != "c") CHECK_THROWS_AS(m.add_module(name, std::make_shared<Scale>()), KeyError);
    }
    CHECK_THROWS_AS(m.add_module("new", nullptr), ValueError);
    CHECK(names_of(m.own_parameters()) == Names{"factor", "none"});
    CHECK(names_of(m.children()) == Names{"c"});
    CHECK(m.tensor("d").item() == 2);
  }

  TEST_CASE("erase takes a name out of whichever map holds it; a name that returns goes to the end") {
    Scale m;
    m.register_parameter("p", Tensor::of(1));
    m.register_parameter("q", Tensor::of(1));
    m.register_buffer("b", Tensor::of(1), false);
    m.add_module("c", std::make_shared<Scale>());
    m.set_tensor("t", Tensor::of(1));
    m.slots().register_derived("d", std::make_shared<TwiceOf>("p"));
    for (const char* name : {"p", "b", "c", "t", "d"}) {
      m.slots().erase(name);
      CHECK_FALSE(m.has(name));
      CHECK_THROWS_AS(m.slots().erase(name), KeyError);
    }
    m.register_parameter("p", Tensor::of(1));
    CHECK(names_of(m.own_parameters()) == Names{"factor", "q", "p"});
    m.register_buffer("b", Tensor::of(1));
    CHECK(m.is_persistent("b"));
  }

  TEST_CASE("a renamed parameter stays the same tensor and goes where it is told") {
    Scale m;
    m.register_parameter("a", Tensor::of(1));
    m.register_parameter("b", Tensor::of(2));
    const Tensor factor = m.tensor("factor");
    m.slots().rename_parameter("factor", "factor_orig");
    CHECK(names_of(m.own_parameters()) == Names{"a", "b", "factor_orig"});
    m.slots().rename_parameter("factor_orig", "factor", 0);
    CHECK(names_of(m.own_parameters()) == Names{"factor", "a", "b"});
    CHECK(m.tensor("factor").is(factor));
    CHECK_THROWS_AS(m.slots().rename_parameter("nothing", "x"), KeyError);
    CHECK_THROWS_AS(m.slots().rename_parameter("a", "b"), KeyError);
    CHECK_THROWS_AS(m.slots().rename_parameter("a", "b.c"), KeyError);
    CHECK(names_of(m.own_parameters()) == Names{"factor", "a", "b"});
  }

  TEST_CASE("parameters take the order that they are given") {
    Linear m(2, 2);
    m.register_parameter("a", Tensor::of(1));
    m.slots().order_parameters({"bias", "weight"});
    CHECK(names_of(m.own_parameters()) == Names{"a", "bias", "weight"});
    CHECK_THROWS_AS(m.slots().order_parameters({"a", "a"}), KeyError);
    CHECK_THROWS_AS(m.slots().order_parameters({"weight", "b"}), KeyError);
    CHECK(names_of(m.own_parameters()) == Names{"a", "bias", "weight"});
  }

  TEST_CASE("another tensor takes the place of a parameter, and is trained as the old one was") {
    Scale m;
    m.register_parameter("none", Tensor());
    m.register_parameter("last", Tensor::of(1));
    m.tensor("last").requires_grad_(false);
    const Tensor smaller = Tensor::of({1, 2});
    m.slots().replace_parameter("factor", smaller);
    CHECK(m.tensor("factor").is(smaller));
    CHECK(smaller.requires_grad());
    m.slots().replace_parameter("last", Tensor::of(5));
    CHECK_FALSE(m.tensor("last").requires_grad());
    m.slots().replace_parameter("none", Tensor::of(6));
    CHECK(m.tensor("none").requires_grad());
    m.slots().replace_parameter("factor", Tensor());
    CHECK_FALSE(m.find_tensor("factor").defined());
    CHECK(names_of(m.own_parameters()) == Names{"factor", "none", "last"});
    CHECK_THROWS_AS(m.slots().replace_parameter("nothing", Tensor::of(1)), KeyError);
    CHECK_THROWS_AS(m.slots().replace_parameter("last", m.tensor("none") * 2), ValueError);
    CHECK(m.tensor("last").item() == 5);
  }

  TEST_CASE("the words that a class builds itself with are the same by both ways") {
    Scale m;
    nn::Slots slots = m.slots();
    slots.register_parameter("p", Tensor::of(1));
    slots.register_buffer("b", Tensor::of(2), false);
    slots.add_module("c", std::make_shared<Scale>());
    slots.set_tensor("t", Tensor::of(3));
    CHECK(names_of(m.own_parameters()) == Names{"factor", "p"});
    CHECK_FALSE(m.is_persistent("b"));
    CHECK(names_of(m.children()) == Names{"c"});
    CHECK(names_of(m.plain_tensors()) == Names{"t"});
    CHECK_THROWS_AS(slots.register_parameter("t", Tensor::of(1)), KeyError);
  }

  TEST_CASE("hooks of another module are taken over behind the own ones, with their ids; handles follow") {
    Scale from, to;
    std::string log;
    const auto pre = [&](const char* word) { return [&log, word](auto&, auto&) { return log += word, std::nullopt; }; };
    const auto post = [&](const char* word) {
      return [&log, word](auto&, auto&, auto&) { return log += word, std::nullopt; };
    };
    nn::HookHandle own = to.register_forward_pre_hook(pre("a"));
    nn::HookHandle first = from.register_forward_pre_hook(pre("b"));
    from.register_forward_pre_hook(pre("c"));
    nn::HookHandle last = from.register_forward_hook(post("d"));
    to.slots().take_hooks(from);
    to.slots().take_hooks(to);
    CHECK(from.forward_pre_hooks().empty());
    CHECK(from.forward_hooks().empty());
    REQUIRE(to.forward_pre_hooks().list().size() == 3);
    CHECK(to.forward_pre_hooks().list()[1].first == first.id());
    (void)from(Tensor::of({1}));
    CHECK(log.empty());
    (void)to(Tensor::of({1}));
    CHECK(log == "abcd");
    log.clear();
    const ModulePtr copy = to.clone();  // of its own
    first.remove();
    own.remove();
    last.remove();
    (void)to(Tensor::of({1}));
    CHECK(log == "c");
    (void)(*copy)(Tensor::of({1}));
    CHECK(log == "cabcd");
  }
}
