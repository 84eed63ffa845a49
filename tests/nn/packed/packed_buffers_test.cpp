/// A packed layer has one weight, its buffers: what is put there is run, or refused before a kernel reads it.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "coppice/nn.h"

using namespace coppice;
using namespace coppice::nn;

namespace {

using Shorts = std::vector<std::int16_t>;
using Ints = std::vector<std::int32_t>;

const Tensor kWeight = Tensor::of({{0, 2, 0, 0}, {3, 0, 0, 4}});
const Tensor kOnes = Tensor::of({{1, 1, 1, 1}});

std::shared_ptr<PackedLinear> layer() { return PackedLinear::from_dense(kWeight, Tensor::of({10, 20}), "csr"); }

/// The tensors of a state dict with bytes of their own.
NamedTensors copied(const Module& module) {
  NamedTensors out;
  for (const auto& [name, tensor] : state_dict(module)) out.add(name, tensor.clone());
  return out;
}

NamedTensors with(const Module& module, const std::string& name, const Tensor& value) {
  NamedTensors out = copied(module);
  out.set(name, value);
  return out;
}

}  // namespace

TEST_SUITE("nn/packed_buffers") {
  TEST_CASE("a clone that is loaded with zeros computes zeros, and the original what it did") {
    for (const PackedFormat format : packing_formats()) {
      CAPTURE(format.name());
      const NoGrad off;
      const auto packed = PackedLinear::from_dense(kWeight, Tensor::of({10, 20}), format);
      const ModulePtr copy = packed->clone();
      CHECK((*copy)(kOnes) == Tensor::of({{12, 27}}));
      NamedTensors none = copied(*copy);
      for (const char* name : {"values", "bias"}) none.set(name, zeros(none.at(name).shape()));
      load_state_dict(*copy, none);
      CHECK((*copy)(kOnes) == Tensor::of({{0, 0}}));
      CHECK(dynamic_cast<const PackedLayer&>(*copy).unpacked() == zeros({2, 4}));
      CHECK((*packed)(kOnes) == Tensor::of({{12, 27}}));
      for (const auto& [name, tensor] : packed->own_buffers())
        CHECK_FALSE(tensor.shares_storage(*copy->own_buffers().find(name)));
    }
  }

  TEST_CASE("what is loaded into an original is run: values and places") {
    const NoGrad off;
    const auto packed = layer();
    CHECK((*packed)(kOnes) == Tensor::of({{12, 27}}));
    load_state_dict(*packed, with(*packed, "values", Tensor::of({5, 6, 7})));
    CHECK((*packed)(kOnes) == Tensor::of({{15, 33}}));
    load_state_dict(*packed, with(*packed, "columns", Tensor::from(Shorts{0, 2, 3}, {3})));
    CHECK(packed->unpacked() == Tensor::of({{5, 0, 0, 0}, {0, 0, 6, 7}}));
    load_state_dict(*packed, with(*packed, "columns", Tensor::of({1, 0, 1})));  // converted, then checked
    CHECK(packed->unpacked() == Tensor::of({{0, 5, 0, 0}, {6, 7, 0, 0}}));
  }

  TEST_CASE("columns out of range are refused by load_state_dict, with nothing changed in the whole tree") {
    const NoGrad off;
    const auto packed = layer();
    Sequential tree{std::make_shared<Linear>(4, 4, false), packed};
    const NamedTensors before = copied(tree);
    const auto refuse = [&](const std::string& name, const Tensor& value, const std::string& why) {
      NamedTensors forged = before;
      forged.set("0.weight", zeros({4, 4}));
      forged.set(name, value);
      CHECK_THROWS_WITH_AS(load_state_dict(tree, forged), doctest::Contains(why.c_str()), FormatError);
      CHECK_THROWS_WITH_AS(load_state_dict(tree, forged, false), doctest::Contains("module '1'"), FormatError);
      for (const auto& [key, tensor] : state_dict(tree)) CHECK(tensor == before.at(key));
      CHECK((*packed)(kOnes) == Tensor::of({{12, 27}}));
    };
    refuse("1.columns", Tensor::from(Shorts{1, 0, 30000}, {3}), "element 2 is 30000");
    refuse("1.columns", Tensor::from(Shorts{-1, 0, 3}, {3}), "element 0 is -1");
    refuse("1.columns", Tensor::of({1, 0, 7}).to(Dtype::f64), "element 2 is 7");  // converted, then checked
    refuse("1.row_offsets", Tensor::from(Ints{0, 1, 1 << 30}, {3}), "must end at 3");
    refuse("1.row_offsets", Tensor::from(Ints{0, 9, 3}, {3}), "must not fall");
    CHECK_THROWS_AS(load_state_dict(*packed, with(*packed, "values", ones({4}))), LoadError);
  }

  TEST_CASE("a tensor that shares bytes with another one that is written is loaded with what was checked") {
    const NoGrad off;
    const auto packed = PackedLinear::from_dense(Tensor::of({{1, 0}, {0, 1}}), {}, "block4");
    NamedTensors own = state_dict(*packed);  // live bytes
    CHECK_NOTHROW(load_state_dict(*packed, own));
    CHECK(packed->unpacked() == Tensor::of({{1, 0}, {0, 1}}));
  }

  TEST_CASE("forged columns on every other path are refused at the next use, and good ones run") {
    const Tensor forged = Tensor::from(Shorts{1, 0, 30000}, {3}), good = Tensor::from(Shorts{0, 1, 2}, {3});
    using Change = std::function<void(Module&, const Tensor&)>;
    const std::vector<std::pair<std::string, Change>> ways{
        {"set_tensor", [](Module& m, const Tensor& t) { m.set_tensor("columns", t); }},
        {"register_buffer", [](Module& m, const Tensor& t) { m.register_buffer("columns", t); }},
        {"copy_", [](Module& m, const Tensor& t) { m.tensor("columns").copy_(t); }},
        {"copy_ through another handle",
         [](Module& m, const Tensor& t) { m.own_buffers().find("columns")->detach().copy_(t); }},
        {"replace_", [](Module& m, const Tensor& t) { m.tensor("columns").replace_(t); }},
        {"mutable_data", [](Module& m, const Tensor& t) {
           const auto from = t.data<std::int16_t>();
           std::ranges::copy(from, m.tensor("columns").mutable_data<std::int16_t>().begin());
         }}};
    const NoGrad off;
    for (const auto& [name, change] : ways) {
      const auto& shown = name;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      const auto packed = layer();
      CHECK((*packed)(kOnes) == Tensor::of({{12, 27}}));
      change(*packed, forged.clone());
      CHECK_THROWS_WITH_AS((void)(*packed)(kOnes), doctest::Contains("element 2 is 30000"), StateError);
      CHECK_THROWS_AS((void)packed->unpacked(), StateError);
      CHECK_THROWS_AS((void)packed->weight(), StateError);
      const ModulePtr copy = packed->clone();
      CHECK_THROWS_AS((void)(*copy)(kOnes), StateError);
      change(*packed, good.clone());
      CHECK(packed->unpacked() == Tensor::of({{2, 0, 0, 0}, {0, 3, 4, 0}}));
      CHECK_THROWS_AS((void)(*copy)(kOnes), StateError);  // its own
    }
  }

  TEST_CASE("members of other types, missing members and a wrong bias are refused") {
    const NoGrad off;
    const auto packed = layer();
    packed->to(Dtype::f64);
    CHECK_THROWS_WITH_AS((void)(*packed)(kOnes), doctest::Contains("'values'"), StateError);
    packed->to(Dtype::f32);
    CHECK((*packed)(kOnes) == Tensor::of({{12, 27}}));
    packed->set_tensor("bias", ones({3}));
    CHECK_THROWS_AS((void)(*packed)(kOnes), ShapeError);
    packed->slots().erase("columns");
    CHECK_THROWS_WITH_AS((void)packed->weight(), doctest::Contains("it has no 'columns'"), StateError);
  }

  TEST_CASE("adopting what breaks a rule changes nothing") {
    const NoGrad off;
    const auto packed = layer();
    CHECK_THROWS_AS(packed->adopt(with(*packed, "columns", Tensor::from(Shorts{1, 0, 4}, {3}))), FormatError);
    CHECK_THROWS_AS(packed->adopt(with(*packed, "bias", ones({3}))), FormatError);
    CHECK((*packed)(kOnes) == Tensor::of({{12, 27}}));
    packed->adopt(with(*packed, "values", Tensor::of({5, 6, 7})));
    CHECK((*packed)(kOnes) == Tensor::of({{15, 33}}));
  }

  TEST_CASE("a convolution sees its buffers too") {
    const NoGrad off;
    const auto packed = PackedConv2d::from_dense(Tensor::of({1, 0, 0, 2}).reshape({1, 1, 2, 2}), {}, {}, "csr");
    const Tensor x = ones({1, 1, 2, 2});
    CHECK((*packed)(x).item() == 3);
    load_state_dict(*packed, with(*packed, "values", Tensor::of({10, 20})));
    CHECK((*packed)(x).item() == 30);
    packed->tensor("columns").copy_(Tensor::from(Shorts{0, 4}, {2}));
    CHECK_THROWS_AS((void)(*packed)(x), StateError);
  }
}
