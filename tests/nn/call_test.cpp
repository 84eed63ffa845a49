/// Errors inside nested modules say where they were.
#include <doctest/doctest.h>

#include "coppice/nn.h"

using namespace coppice;
using namespace coppice::nn;

namespace {

/// Calls a module that is no child of it.
class Outside final : public Implements<Outside> {
 public:
  static constexpr std::string_view kType = "test.Outside";
  explicit Outside(ModulePtr other) : other_(std::move(other)) {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return (*other_)(x); }

 private:
  ModulePtr other_;
};

/// Its grandchildren, through a list.
class Pairs final : public Implements<Pairs> {
 public:
  static constexpr std::string_view kType = "test.Pairs";
  Pairs() {
    add_module("list", std::make_shared<ModuleList>(std::initializer_list<ModulePtr>{std::make_shared<Linear>(2, 3)}));
  }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return (*child("list")->child("0"))(x); }
};

/// Has a second way.
class Careful final : public Implements<Careful> {
 public:
  static constexpr std::string_view kType = "test.Careful";

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override {
    try {
      return (*child("first"))(x);
    } catch (const ShapeError&) {
      return (*child("second"))(x);
    }
  }
};

struct OwnError : ShapeError {
  using ShapeError::ShapeError;
  int code = 0;
};

template <class E, class F>
std::string said(F call) {
  try {
    (void)call();
  } catch (const E& e) {
    return e.what();
  }
  return "nothing";
}

ModulePtr sequence(std::initializer_list<ModulePtr> list) { return std::make_shared<Sequential>(list); }

}  // namespace

TEST_SUITE("nn/call") {
  TEST_CASE("an error in a nested layer begins with the path and the type; its type and the rest stay") {
    const Sequential model{{"features", sequence({std::make_shared<ReLU>(), std::make_shared<Conv2d>(3, 4, 3)})},
                           {"head", std::make_shared<Linear>(4, 2)}};
    const std::string text = said<ShapeError>([&] { return model(ones({1, 2, 8, 8})); });
    CAPTURE(text);
    CHECK(text.starts_with("in 'features.1' (Conv2d): [conv2d] "));
    const std::string head = said<ShapeError>([&] { return model(ones({1, 3, 8, 8})); });
    CHECK(head.starts_with("in 'head' (Linear): [linear] "));
    CHECK(text.find("in '", 3) == text.npos);  // once
  }

  TEST_CASE("a layer that is called alone says what it always said") {
    const Linear layer(2, 3);
    CHECK(said<ShapeError>([&] { return layer(ones({1, 3})); }).starts_with("[linear] "));
    const Sequential model{std::make_shared<Linear>(2, 3)};
    CHECK(said<ShapeError>([&] { return model(ones({1, 3})); }).starts_with("in '0' (Linear): [linear] "));
    CHECK(said<ShapeError>([&] { return layer(ones({1, 3})); }).starts_with("[linear] "));
  }

  TEST_CASE("grandchildren that a class calls itself, and modules that are in no tree") {
    const Sequential model{std::make_shared<Pairs>()};
    CHECK(said<ShapeError>([&] { return model(ones({1, 3})); }).starts_with("in '0.list.0' (Linear): [linear] "));
    const Sequential outside{std::make_shared<Outside>(std::make_shared<Linear>(2, 3))};
    CHECK(said<ShapeError>([&] { return outside(ones({1, 3})); }).starts_with("in '0' (test.Outside): [linear] "));
  }

  TEST_CASE("hooks, errors of the program's own and those that are no Error") {
    const auto layer = std::make_shared<ReLU>();
    const Sequential model{layer};
    HookHandle hook = layer->register_forward_hook(
        [](const Module&, const TensorList&, const TensorList&) -> std::optional<TensorList> {
          OwnError error("[mine] no");
          error.code = 7;
          throw error;
        });
    try {
      (void)model(ones({1}));
      FAIL("nothing was thrown");
    } catch (const OwnError& e) {
      CHECK(std::string(e.what()) == "in '0' (ReLU): [mine] no");
      CHECK(e.code == 7);
    }
    hook.remove();
    layer->register_forward_pre_hook(
        [](const Module&, const TensorList&) -> std::optional<TensorList> { throw std::runtime_error("plain"); });
    CHECK(said<std::runtime_error>([&] { return model(ones({1})); }) == "plain");
  }

  TEST_CASE("what a module catches of its child leaves no trace") {
    const auto careful = std::make_shared<Careful>();
    careful->add_module("first", std::make_shared<Linear>(5, 1));
    careful->add_module("second", std::make_shared<Linear>(6, 1));
    const Sequential model{careful};
    CHECK(said<ShapeError>([&] { return model(ones({1, 3})); }).starts_with("in '0.second' (Linear): [linear] "));
    CHECK(model(ones({1, 6})).shape() == Shape{1, 1});
  }
}
