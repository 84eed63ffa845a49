#include "coppice/nn/registry.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "coppice/nn/io/architecture.h"
#include "nn/every_layer.h"

using namespace coppice;

namespace {

class Plus final : public nn::Implements<Plus> {
 public:
  static constexpr std::string_view kType = "test.Plus";
  explicit Plus(double number) : number_(number) {}
  [[nodiscard]] nn::Arguments arguments() const override { return {{"number", number_}}; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x + number_; }

 private:
  double number_;
};

/// Has a parameter and calls no children.
class Leaf final : public nn::Implements<Leaf> {
 public:
  static constexpr std::string_view kType = "test.Leaf";
  Leaf() { register_parameter("weight", Tensor::of({1})); }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }
};

}  // namespace

TEST_SUITE("nn/registry") {
  TEST_CASE("a type of the user's is one line, and files may name it") {
    nn::register_module("test.Plus",
                        [](const nn::Arguments& a) { return std::make_shared<Plus>(a.number("number", 1)); });
    CHECK(nn::is_registered("test.Plus"));
    const nn::ModulePtr m = nn::parse_architecture(
        R"({"type": "Sequential", "modules": [{"type": "test.Plus", "args": {"number": 2}}, {"type": "test.Plus"}]})");
    CHECK((*m)(Tensor::of({1})) == Tensor::of({4}));
    CHECK_THROWS_AS(nn::register_module("test.Plus", nullptr), KeyError);
    CHECK_THROWS_AS((void)nn::make_module("test.Plus", {{"nummer", 1.0}}), KeyError);
  }

  TEST_CASE("a row says what files may make of a type") {
    for (const char* same : {"FakeSparsity", "GELU", "Identity", "ReLU", "Sigmoid", "Softmax", "Tanh"}) {
      CAPTURE(same);
      CHECK(nn::flags_of(same).parametrizes);
      CHECK(nn::flags_of(same).keeps_shape);
    }
    for (const std::string& type : nn::registered_types()) {
      CAPTURE(type);
      if (!nn::is_built_in(type)) continue;
      CHECK(nn::flags_of(type).parametrizes == nn::flags_of(type).keeps_shape);
      CHECK_FALSE(nn::flags_of(type).takes_modules);
    }
    CHECK_FALSE(nn::flags_of("Linear").parametrizes);
    CHECK_FALSE(nn::flags_of("Dropout").parametrizes);
    if (!nn::is_registered(Leaf::kType))
      nn::register_module(Leaf::kType, [](const nn::Arguments&) { return std::make_shared<Leaf>(); },
                          {.takes_modules = false});
    CHECK_FALSE(nn::flags_of("test.Leaf").takes_modules);
    CHECK(nn::parse_architecture(R"({"type": "test.Leaf"})") != nullptr);
    CHECK_THROWS_WITH_AS((void)nn::parse_architecture(R"({"type": "test.Leaf", "modules": [{"type": "ReLU"}]})"),
                         doctest::Contains("(test.Leaf): this type takes no modules"), FormatError);
    const nn::TypeFlags nobody = nn::flags_of("test.nobody");
    CHECK(nobody.parametrizes);
    CHECK_FALSE(nobody.keeps_shape);
    CHECK(nobody.takes_modules);
  }

  TEST_CASE("every layer can be made again from its type and arguments") {
    for (const auto& [name, module] : test::every_layer()) {
      const auto& shown = name;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      if (name.starts_with("Packed")) continue;  // these take their tensors from a file
      const nn::ModulePtr again = nn::make_module(module->type_name(), module->arguments());
      CHECK(again->type_name() == module->type_name());
      CHECK(std::ranges::equal(again->arguments(), module->arguments()));
      const auto own = nn::state_dict(*module), fresh = nn::state_dict(*again);
      REQUIRE(fresh.names() == own.names());
      for (const auto& [tensor, value] : own) CHECK(fresh.at(tensor).shape() == value.shape());
    }
  }

  TEST_CASE("the list of layers in these tests is complete") {
    // The parametrizations have tests of their own, and so has what quantises (tests/nn/quant).
    const auto quantises = [](std::string_view type) {
      return type.starts_with("intrinsic.") || type.starts_with("quantized.") || type.starts_with("qat.") ||
             type.ends_with("Observer") || type.ends_with("FakeQuantize") || type.find("Quant") != type.npos;
    };
    std::set<std::string> tested{"FakeSparsity", "ModuleDict", "ModuleList", "ParametrizationList", "Sequential"};
    for (const auto& [name, module] : test::every_layer()) tested.emplace(module->type_name());
    for (const std::string& type : nn::registered_types()) {
      CAPTURE(type);
      CHECK((tested.contains(type) || type.starts_with("test.") || quantises(type)));
    }
  }

  TEST_CASE("an unknown type names the known ones; bad arguments are refused") {
    CHECK_THROWS_WITH_AS((void)nn::make_module("Lineal"), doctest::Contains("known: AdaptiveAvgPool2d, AvgPool2d"),
                         KeyError);
    const nn::Arguments sizes{{"in_features", std::int64_t{1}}, {"out_features", std::int64_t{1}}, {"biass", true}};
    CHECK_THROWS_WITH_AS((void)nn::make_module("Linear", sizes), doctest::Contains("'biass'"), KeyError);
    CHECK_THROWS_AS((void)nn::make_module("Linear"), KeyError);
    CHECK_THROWS_AS((void)nn::make_module("Dropout", {{"p", 1.5}}), ValueError);
    CHECK_THROWS_AS((void)nn::make_module("GELU", {{"approximate", std::string("often")}}), ValueError);
    CHECK_THROWS_AS((void)nn::make_module("Conv2d", {{"in_channels", std::int64_t{3}},
                                                     {"out_channels", std::int64_t{4}},
                                                     {"kernel_size", std::int64_t{3}},
                                                     {"groups", std::int64_t{2}}}),
                    ValueError);
  }
}
