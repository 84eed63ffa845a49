#include "coppice/nn/hooks.h"

#include <doctest/doctest.h>

#include "coppice/engine/ops/elementwise.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"

using namespace coppice;
using nn::Identity;
using nn::Module;

namespace {
const Tensor kX = Tensor::of({1, 2});
const auto kNothing = std::nullopt;
}  // namespace

TEST_SUITE("nn/hooks") {
  TEST_CASE("hooks run in the order of their registration, around forward") {
    Identity m;
    std::string log;
    m.register_forward_hook([&](auto&, auto&, auto&) { return log += "c", kNothing; });
    m.register_forward_pre_hook([&](auto&, auto&) { return log += "a", kNothing; });
    m.register_forward_hook([&](auto&, auto&, auto&) { return log += "d", kNothing; });
    m.register_forward_pre_hook([&](auto&, auto&) { return log += "b", kNothing; });
    CHECK(m(kX) == kX);
    CHECK(log == "abcd");
  }

  TEST_CASE("a list that a hook returns replaces inputs or outputs, for the next hook as well") {
    Identity m;
    TensorList seen_in, seen_out;
    m.register_forward_pre_hook([](auto&, auto& in) { return TensorList{in[0] * 10}; });
    m.register_forward_pre_hook([](auto&, auto& in) { return TensorList{in[0] + 1}; });
    m.register_forward_hook([](auto&, auto&, auto& out) { return TensorList{out[0] * 2, out[0]}; });
    m.register_forward_hook([&](auto&, auto& in, auto& out) { return seen_in = in, seen_out = out, kNothing; });
    CHECK(m(kX) == Tensor::of({22, 42}));
    CHECK(seen_in[0] == Tensor::of({11, 21}));  // what forward saw
    REQUIRE(seen_out.size() == 2);
    CHECK(seen_out[1] == Tensor::of({11, 21}));
    CHECK(kX == Tensor::of({1, 2}));
  }

  TEST_CASE("a hook may take itself off, and one that is added during a call waits for the next") {
    Identity m;
    int once = 0, late = 0;
    nn::HookHandle handle;
    handle = m.register_forward_pre_hook([&](auto&, auto&) {
      ++once;
      handle.remove();
      m.register_forward_pre_hook([&](auto&, auto&) { return ++late, kNothing; });
      return kNothing;
    });
    (void)m(kX);
    CHECK(once == 1);
    CHECK(late == 0);
    (void)m(kX);
    CHECK(once == 1);
    CHECK(late == 1);
  }

  TEST_CASE("a handle takes off its own hook only, once, and may outlive the module") {
    int first = 0, second = 0;
    nn::HookHandle a, b;
    {
      const auto m = std::make_shared<Identity>();
      a = m->register_forward_hook([&](auto&, auto&, auto&) { return ++first, kNothing; });
      b = m->register_forward_hook([&](auto&, auto&, auto&) { return ++second, kNothing; });
      CHECK(a.id() < b.id());
      a.remove();
      a.remove();
      (void)(*m)(kX);
    }
    CHECK(first == 0);
    CHECK(second == 1);
    b.remove();
    nn::HookHandle().remove();
  }

  TEST_CASE("a scoped hook goes with its scope") {
    Identity m;
    int calls = 0;
    {
      const nn::ScopedHook hook(m.register_forward_hook([&](auto&, auto&, auto&) { return ++calls, kNothing; }));
      (void)m(kX);
    }
    (void)m(kX);
    CHECK(calls == 1);
  }

  TEST_CASE("a hook that throws stops the call, and the module stays usable") {
    Identity m;
    bool angry = true;
    m.register_forward_pre_hook([&](auto&, auto&) -> std::optional<TensorList> {
      if (angry) throw StateError("no");
      return kNothing;
    });
    CHECK_THROWS_AS((void)m(kX), StateError);
    angry = false;
    CHECK(m(kX) == kX);
  }

  TEST_CASE("a clone has the hooks too, sees itself in them, and loses only its own") {
    Identity m;
    std::vector<const Module*> callers;
    nn::HookHandle handle = m.register_forward_hook(
        [&](const Module& caller, auto&, auto&) { return callers.push_back(&caller), kNothing; });
    const nn::ModulePtr copy = m.clone();
    (void)(*copy)(kX);
    REQUIRE(callers.size() == 1);
    CHECK(callers[0] == copy.get());
    handle.remove();
    (void)m(kX);
    CHECK(callers.size() == 1);
    (void)(*copy)(kX);
    CHECK(callers.size() == 2);
  }

  TEST_CASE("hooks of a child run inside its container") {
    const auto child = std::make_shared<Identity>();
    const nn::Sequential root{child, child};
    int calls = 0;
    child->register_forward_pre_hook([&](auto&, auto& in) { return ++calls, TensorList{in[0] + 1}; });
    CHECK(root(kX) == Tensor::of({3, 4}));
    CHECK(calls == 2);
  }
}
