// What nn::Child does whatever its type: how a member finds its module. With types and in use: child_test.
#include "coppice/nn/handle.h"

#include <doctest/doctest.h>

#include "coppice/nn.h"

using namespace coppice;
using namespace coppice::nn;

namespace {

/// A handle without a type.
class Plain : public nn::detail::ChildHandle {
 public:
  Plain(Module& owner, std::string_view name, ModulePtr child)
      : nn::detail::ChildHandle(owner, name, std::move(child)) {}
};

class Owner final : public Implements<Owner> {
 public:
  static constexpr std::string_view kType = "test.handle.Owner";
  Plain act{*this, "act", std::make_shared<ReLU>()};

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return (*act.module())(x); }
};

}  // namespace

TEST_SUITE("nn/handle") {
  TEST_CASE("a handle adds its child and finds what stands under the name now") {
    Owner owner;
    CHECK(owner.act.name() == "act");
    CHECK(owner.act.module() == owner.child("act"));
    owner.add_module("act", std::make_shared<Tanh>());
    CHECK(owner.act.module()->type_name() == "Tanh");
    CHECK_THROWS_AS((Plain(owner, "act", std::make_shared<ReLU>())), KeyError);
  }

  TEST_CASE("a clone's handle finds the clone's child, also when the original is gone") {
    auto owner = std::make_unique<Owner>();
    const auto copy = std::dynamic_pointer_cast<Owner>(owner->clone());
    owner.reset();
    CHECK(copy->act.module() == copy->child("act"));
  }

  TEST_CASE("a handle that belongs nowhere, or whose module is gone, is a StateError") {
    auto owner = std::make_unique<Owner>();
    const Plain copied = owner->act;
    CHECK_THROWS_AS((void)copied.module(), StateError);
    const Plain moved = std::move(owner->act);
    CHECK(moved.module()->type_name() == "ReLU");
    owner.reset();
    CHECK_THROWS_AS((void)moved.module(), StateError);
  }

  TEST_CASE("a copied anchor is one of another home") {
    Owner first, second;
    nn::detail::Anchor anchor;
    const auto home = anchor.home(first);
    const nn::detail::Anchor copy = anchor;
    CHECK(home->module == &first);
    CHECK_FALSE(copy.names("act"));
  }
}
