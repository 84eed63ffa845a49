/// Typed handles of children: right after whatever replaces a child; and what plain members are caught at.
#include "coppice/nn/child.h"

#include <doctest/doctest.h>

#include <optional>

#include "coppice/nn.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::nn;
using coppice::test::TempDir;

namespace {

/// As the documents show it.
class Net final : public Implements<Net> {
 public:
  static constexpr std::string_view kType = "test.Net";
  Net() = default;
  explicit Net(const Arguments&) {}
  Child<Linear> fc1{*this, "fc1", 2, 3};
  Child<Linear> fc2{*this, "fc2", 3, 1, false};

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return fc2(relu(fc1(x))); }
};

/// Handles in containers.
class Many final : public Implements<Many> {
 public:
  static constexpr std::string_view kType = "test.Many";
  Many() {
    for (int i = 0; i < 5; ++i) layers.emplace_back(*this, cat("layer", i), 2, 2);  // moves them as the vector grows
    last.emplace(*this, "last", std::make_shared<Linear>(2, 1));
  }
  std::vector<Child<Linear>> layers;
  std::optional<Child<Linear>> last;

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override {
    Tensor y = x;
    for (const auto& layer : layers) y = layer(y);
    return (*last)(y);
  }
};

/// As LibTorch users write it.
class Plain final : public Implements<Plain> {
 public:
  static constexpr std::string_view kType = "test.Plain";
  Plain() { add_module("fc", fc_); }
  explicit Plain(const Arguments&) : Plain() {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return (*fc_)(x); }

 private:
  std::shared_ptr<Linear> fc_ = std::make_shared<Linear>(2, 2);
};

void know() {
  if (!is_registered(Net::kType))
    register_module(Net::kType, [](const Arguments& a) { return std::make_shared<Net>(a); });
  if (!is_registered(Plain::kType))
    register_module(Plain::kType, [](const Arguments& a) { return std::make_shared<Plain>(a); });
}

void set_all(Module& module, double value) {
  const NoGrad off;
  for (Tensor& t : module.parameters()) t.fill_(value);
}

const Tensor kX = Tensor::of({{1, 1}});

}  // namespace

TEST_SUITE("nn/child") {
  TEST_CASE("a handle adds its child, calls it and shows it as what it is") {
    Net net;
    CHECK(net.children().size() == 2);
    CHECK(net.fc1->out_features() == 3);
    CHECK(net.fc1.get() == net.child("fc1"));
    CHECK(net.fc2.name() == "fc2");
    CHECK_FALSE(net.fc2->find_tensor("bias").defined());
    set_all(net, 1);
    CHECK(net(kX).item() == 9);
    CHECK(net.fc1(TensorList{kX}).at(0) == Tensor::of({{3, 3, 3}}));
    CHECK(net.has_handle("fc1"));
    CHECK_FALSE(net.has_handle("fc3"));
  }

  TEST_CASE("a taken name, a wrong name and no module are refused") {
    Net net;
    CHECK_THROWS_WITH_AS((Child<ReLU>(net, "fc1")), doctest::Contains("already has a child 'fc1'"), KeyError);
    CHECK(net.fc1->in_features() == 2);
    CHECK_THROWS_AS((Child<ReLU>(net, "a.b")), KeyError);
    CHECK_THROWS_AS((Child<ReLU>(net, "null", std::shared_ptr<ReLU>())), ValueError);
  }

  TEST_CASE("a clone's handles find the clone's children, while the original lives and after it") {
    auto net = std::make_shared<Net>();
    set_all(*net, 1);
    const ModulePtr copy = net->clone();
    const ModulePtr second = copy->clone();
    set_all(*copy, 2);
    CHECK((*net)(kX).item() == 9);
    CHECK((*copy)(kX).item() == 36);
    CHECK(dynamic_cast<Net&>(*copy).fc1.get() == copy->child("fc1"));
    net.reset();
    CHECK((*copy)(kX).item() == 36);
    CHECK((*second)(kX).item() == 9);
    set_all(*second, 0);
    CHECK((*second)(kX).item() == 0);
  }

  TEST_CASE("a clone inside a clone of something larger, and twice there") {
    const auto net = std::make_shared<Net>();
    const Sequential outer{
        {"a", net},
        {"b", std::make_shared<Sequential>(std::initializer_list<ModulePtr>{std::make_shared<Linear>(1, 2), net})}};
    const ModulePtr copy = outer.clone();
    set_all(*copy, 1);
    CHECK((*copy->child("a"))(kX).item() == 9);
    CHECK(copy->find_module("b.1") == copy->child("a").get());
    CHECK(dynamic_cast<Net&>(*copy->child("a")).fc2.module() == copy->child("a")->child("fc2"));
  }

  TEST_CASE("handles in a vector and an optional are right in the original and in clones") {
    const auto many = std::make_shared<Many>();
    const ModulePtr copy = many->clone();
    set_all(*many, 1);
    set_all(*copy, 0);
    CHECK((*many)(kX).item() == 127);
    CHECK((*copy)(kX).item() == 0);
  }

  TEST_CASE("what is put in the child's place is called; typed access says what stands there") {
    Net net;
    set_all(net, 1);
    net.add_module("fc1", PackedLinear::from_dense(Tensor::of({{2, 0}, {0, 2}, {0, 0}}), {}, "csr"));
    CHECK(net(kX).item() == 4);
    CHECK_THROWS_WITH_AS((void)net.fc1->in_features(), doctest::Contains("'fc1' is a PackedLinear, not a Linear"),
                         TypeError);
    net.slots().erase("fc1");
    CHECK_THROWS_WITH_AS((void)net(kX), doctest::Contains("has no child 'fc1'"), KeyError);
    net.add_module("fc1", std::make_shared<Linear>(2, 3));
    CHECK(net.fc1->in_features() == 2);
  }

  TEST_CASE("a handle that is copied out of its module, or outlives it, says so") {
    auto net = std::make_shared<Net>();
    const Child<Linear> copied = net->fc1;
    CHECK_THROWS_WITH_AS((void)copied(kX), doctest::Contains("'fc1' belongs to no module"), StateError);
    const Child<Linear> moved = std::move(net->fc1);
    CHECK(moved->in_features() == 2);
    CHECK_THROWS_AS((void)net->fc1(kX), StateError);  // NOLINT(bugprone-use-after-move)
    net.reset();
    CHECK_THROWS_AS((void)moved(kX), StateError);
    const Net first{};
    const Net second = first;  // no clone: it would share its children
    CHECK_THROWS_AS((void)second(kX), StateError);
    CHECK_NOTHROW((void)first(kX));
  }

  TEST_CASE("a loaded model, a state dict and a pruned child are seen") {
    know();
    Net net;
    set_all(net, 1);
    const TempDir dir;
    save_model(net, dir / "net.safetensors");
    const ModulePtr back = load_model(dir / "net.safetensors");
    CHECK((*back)(kX).item() == 9);
    Net other;
    load_state_dict(other, state_dict(*back));
    CHECK(other(kX).item() == 9);
    attach_mask(*other.fc1.module(), "weight", Tensor::of({{1, 1}, {0, 0}, {0, 0}}));
    CHECK(other(kX).item() == 5);
    net.add_module("fc1", PackedLinear::from_dense(ones({3, 2}), ones({3}), "bitmask"));
    save_model(net, dir / "packed.safetensors");
    const ModulePtr packed = load_model(dir / "packed.safetensors");
    CHECK((*packed)(kX).item() == 9);
    CHECK(packed->child("fc1")->type_name() == "PackedLinear");
    net.add_module("fc1", std::make_shared<Sequential>(std::initializer_list<ModulePtr>{std::make_shared<Linear>(2, 3),
                                                                                        std::make_shared<Identity>()}));
    set_all(net, 1);
    save_model(net, dir / "other.safetensors");  // a handle takes any type
    CHECK((*load_model(dir / "other.safetensors"))(kX).item() == 9);
  }

  TEST_CASE("a plain member is right as long as nothing takes its child's place, also after loading") {
    know();
    Plain plain;
    set_all(plain, 1);
    CHECK(plain(kX) == Tensor::of({{3, 3}}));
    Plain other;
    load_state_dict(other, state_dict(plain));
    CHECK(other(kX) == Tensor::of({{3, 3}}));
    attach_mask(*plain.child("fc"), "weight", Tensor::of({{1, 0}, {0, 0}}));
    CHECK(plain(kX) == Tensor::of({{2, 1}}));
    const TempDir dir;
    save_model(plain, dir / "plain.safetensors");
    CHECK((*load_model(dir / "plain.safetensors"))(kX) == Tensor::of({{2, 1}}));
  }

  TEST_CASE("a plain member is refused when it calls what a clone or another child took the place of") {
    const auto plain = std::make_shared<Plain>();
    const ModulePtr copy = plain->clone();
    CHECK_NOTHROW((void)(*plain)(kX));
    CHECK_THROWS_WITH_AS((void)(*copy)(kX), doctest::Contains("[test.Plain] calls a Linear that is its child no more"),
                         StateError);
    const ModulePtr again = copy->clone();
    CHECK_THROWS_AS((void)(*again)(kX), StateError);
    const ModulePtr before = plain->child("fc");
    plain->add_module("fc", std::make_shared<Linear>(2, 2));
    CHECK_THROWS_AS((void)(*plain)(kX), StateError);
    plain->add_module("fc", before);
    CHECK_NOTHROW((void)(*plain)(kX));
    const Sequential outer{plain};
    CHECK_THROWS_WITH_AS((void)(*outer.clone())(kX), doctest::Contains("in '0' (test.Plain): [test.Plain] calls"),
                         StateError);
  }

  TEST_CASE("what hooks call is their own affair: a copy may ask the original's layers") {
    const auto teacher = std::make_shared<Net>();
    const auto plain = std::make_shared<Plain>();
    for (const ModulePtr& original : {ModulePtr(teacher), ModulePtr(plain)}) {
      const ModulePtr student = original->clone();
      const ModulePtr layer = original->children().begin()->second;
      int calls = 0;
      const auto ask = [&](const Module&, const TensorList& in, const TensorList&) -> std::optional<TensorList> {
        (void)(*layer)(in[0]);
        ++calls;
        return std::nullopt;
      };
      if (original == teacher) {
        student->register_forward_hook(ask);
        (void)(*student)(ones({1, 2}));
        CHECK(calls == 1);
      } else {
        student->add_module("fc", layer);  // the member's own again
        student->register_forward_hook(ask);
        (void)(*student)(ones({1, 2}));
        CHECK(calls == 1);
      }
    }
  }

  TEST_CASE("a module that calls a former child of another one is not meant") {
    const auto inner = std::make_shared<Linear>(2, 2);
    Sequential model{inner};
    model.add_module("0", std::make_shared<Sequential>(std::initializer_list<ModulePtr>{inner}));
    CHECK_NOTHROW((void)model(kX));
  }
}
