#include "coppice/nn/io/model_file.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn/slots.h"
#include "engine/io/io_support.h"
#include "nn/every_layer.h"

using namespace coppice;
using namespace coppice::test;
using nn::load_model;
using nn::ModulePtr;
using nn::save_model;

namespace {

/// All layers in one tree.
ModulePtr big_tree() {
  const auto root = std::make_shared<nn::ModuleList>();
  for (const auto& [name, module] : every_layer()) root->append(module);
  return root;
}

/// Shifts its input by a buffer; nobody registers it.
class Unknown final : public nn::Implements<Unknown> {
 public:
  static constexpr std::string_view kType = "test.Unknown";

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }
};

}  // namespace

TEST_SUITE("nn/io/model_file") {
  TEST_CASE("every type of layer comes back with its arguments, its numbers and its results") {
    const TempDir dir;
    for (const auto& [name, module] : every_layer()) {
      const auto& shown = name;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      save_model(*module, dir / "m.safetensors");
      const ModulePtr back = load_model(dir / "m.safetensors");
      CHECK(back->type_name() == module->type_name());
      CHECK(std::ranges::equal(back->arguments(), module->arguments()));
      check_same_bits(nn::state_dict(*back), nn::state_dict(*module));
      CHECK_FALSE(back->training());
      for (const auto& [path, parameter] : back->named_parameters()) CHECK(parameter.requires_grad());
      module->eval();
      const TensorList x = input_for(*module);
      const NoGrad off;
      const TensorList expected = (*module)(x), given = (*back)(x);
      REQUIRE(given.size() == expected.size());
      for (std::size_t i = 0; i < given.size(); ++i) CHECK(given[i] == expected[i]);
    }
  }

  TEST_CASE("a tree keeps names, order and nesting, mapped or read") {
    const TempDir dir;
    const ModulePtr tree = big_tree();
    save_model(*tree, dir / "m.safetensors", {{"note", "mine"}});
    for (const bool map : {true, false}) {
      const ModulePtr back = load_model(dir / "m.safetensors", {.map = map});
      CHECK(back->describe() == tree->describe());
      check_same_bits(nn::state_dict(*back), nn::state_dict(*tree));
    }
    CHECK(load_tensors(dir / "m.safetensors").metadata().at("note") == "mine");
  }

  TEST_CASE("equal models give equal bytes, and a model that was loaded gives its file again") {
    const TempDir dir;
    save_model(*big_tree(), dir / "a.safetensors");
    save_model(*big_tree(), dir / "b.safetensors");
    CHECK(slurp(dir / "a.safetensors") == slurp(dir / "b.safetensors"));
    save_model(*load_model(dir / "a.safetensors"), dir / "c.safetensors");
    CHECK(slurp(dir / "c.safetensors") == slurp(dir / "a.safetensors"));
  }

  TEST_CASE("masks are kept as bits, with their original and their history") {
    const TempDir dir;
    manual_seed(0);
    nn::Sequential net{std::make_shared<nn::Linear>(5, 3), std::make_shared<nn::Linear>(3, 2)};
    const Tensor mask = Tensor::of({{1, 0, 1, 0, 0}, {0, 0, 0, 0, 1}, {1, 1, 1, 0, 1}});
    const auto origin = std::make_shared<nn::MaskHistory>(std::vector<nn::MaskStep>{
        {"L1Unstructured", {{"amount", 0.3}}}, {"RandomUnstructured", {{"amount", std::int64_t{2}}}}});
    nn::set_mask(*net.at(0), "weight", mask, origin);
    nn::attach_mask(*net.at(1), "bias", Tensor::of({0, 1}));
    save_model(net, dir / "m.safetensors", {}, {.masked_values = true});

    const NamedTensors inside = read_safetensors(dir / "m.safetensors");
    CHECK(inside.at("0.weight_mask").dtype() == Dtype::u8);
    CHECK(inside.at("0.weight_mask").numel() == 2);
    CHECK_FALSE(inside.contains("0.weight"));  // the product is not stored
    const ModulePtr back = load_model(dir / "m.safetensors");
    check_same_bits(nn::state_dict(*back), nn::state_dict(net));
    const auto steps = nn::mask_origin(*back->child("0"), "weight")->steps();
    REQUIRE(steps.size() == 2);
    CHECK(steps[0].type == "L1Unstructured");
    CHECK(steps[0].arguments.number("amount", 0) == 0.3);
    CHECK(steps[1].arguments.integer("amount") == 2);
    const Tensor x = ones({1, 5});
    CHECK((*back)(x) == net(x));
    save_model(*back, dir / "again.safetensors", {}, {.masked_values = true});
    CHECK(slurp(dir / "again.safetensors") == slurp(dir / "m.safetensors"));
  }

  TEST_CASE("masks of other numbers and types are kept as they are") {
    const TempDir dir;
    nn::Linear m(2, 2);
    nn::set_mask(m, "weight", Tensor::of({{0.5, 2}, {-1, 0}}));
    save_model(m, dir / "m.safetensors");
    CHECK(load_model(dir / "m.safetensors")->tensor("weight_mask") == Tensor::of({{0.5, 2}, {-1, 0}}));
  }

  TEST_CASE("an original that is masked itself comes back so") {
    const TempDir dir;
    nn::Linear m(2, 2);
    nn::attach_mask(m, "weight", Tensor::of({{1, 1}, {0, 1}}));
    nn::attach_mask(m, "weight_orig", Tensor::of({{0, 1}, {1, 1}}));
    for (const bool whole : {true, false}) {
      save_model(m, dir / "m.safetensors", {}, {.masked_values = whole});
      const ModulePtr back = load_model(dir / "m.safetensors");
      if (whole) check_same_bits(nn::state_dict(*back), nn::state_dict(m));
      CHECK(back->tensor("weight").detach() == m.tensor("weight").detach());
    }
  }

  TEST_CASE("other floating types come back as they were") {
    const TempDir dir;
    for (const Dtype dtype : {Dtype::f64, Dtype::f16, Dtype::bf16}) {
      nn::BatchNorm1d m(3);
      m.to(dtype);
      save_model(m, dir / "m.safetensors");
      const ModulePtr back = load_model(dir / "m.safetensors");
      CHECK(back->tensor("weight").dtype() == dtype);
      check_same_bits(nn::state_dict(*back), nn::state_dict(m));
    }
  }

  TEST_CASE("a loaded model trains without touching its file") {
    const TempDir dir;
    save_model(nn::Linear(200, 200), dir / "m.safetensors");  // large enough to be mapped
    const std::string before = slurp(dir / "m.safetensors");
    const ModulePtr m = load_model(dir / "m.safetensors");
    nn::SGD optimizer(m->parameters(), {.lr = 0.1});
    sum((*m)(ones({1, 200}))).backward();
    optimizer.step();
    CHECK(slurp(dir / "m.safetensors") == before);
    save_model(*m, dir / "m.safetensors");  // over the file that it shows
    check_same_bits(nn::state_dict(*load_model(dir / "m.safetensors")), nn::state_dict(*m));
  }

  TEST_CASE("what no file can hold is refused before anything is written") {
    const TempDir dir;
    const nn::Sequential net{std::make_shared<Unknown>()};
    CHECK_THROWS_AS(save_model(net, dir / "m.safetensors"), KeyError);
    nn::Linear derived(1, 1);
    class Zero final : public nn::Derived {
      [[nodiscard]] Tensor value(const nn::Module&) const override { return Tensor::of(0); }
      [[nodiscard]] std::shared_ptr<Derived> clone() const override { return std::make_shared<Zero>(); }
    };
    derived.slots().register_derived("zero", std::make_shared<Zero>());
    CHECK_THROWS_AS(save_model(derived, dir / "m.safetensors"), NotSupported);
    CHECK(dir.size() == 0);
  }

  TEST_CASE("a module that stands in two places comes back as two, with the same results") {
    const auto shared = std::make_shared<nn::Linear>(2, 2);
    const nn::Sequential net{shared, shared};
    const TempDir dir;
    save_model(net, dir / "m.safetensors");
    const ModulePtr back = load_model(dir / "m.safetensors");
    CHECK(net.parameters().size() == 2);
    CHECK(back->parameters().size() == 4);
    CHECK((*back)(ones({1, 2})) == net(ones({1, 2})));
  }

  TEST_CASE("a model as tensors is what a file of it holds, and comes back without one") {
    const TempDir dir;
    const ModulePtr model = big_tree();
    save_model(*model, dir / "m.safetensors", {{"note", "a"}});
    const NamedTensors file = read_safetensors(dir / "m.safetensors"),
                       tensors = nn::model_to_tensors(*model, {{"note", "a"}});
    REQUIRE(tensors.names() == file.names());
    for (const auto& [name, tensor] : tensors) CHECK(tensor == file.at(name));
    CHECK(tensors.metadata().at("note") == "a");
    CHECK(tensors.metadata().at(nn::kModelKey) == file.metadata().at(nn::kModelKey));
    check_same_bits(nn::state_dict(*nn::model_from_tensors(tensors, "here")), nn::state_dict(*model));
    CHECK_THROWS_AS((void)nn::model_to_tensors(Unknown()), KeyError);
  }
}
