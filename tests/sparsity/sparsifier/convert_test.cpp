#include "coppice/sparsity/sparsifier/convert.h"

#include <doctest/doctest.h>

#include "sparsity/sparsifier/models.h"

using namespace coppice;
using namespace coppice::testing;
using nn::ModulePtr;
using sparsity::ConvertMapping, sparsity::swap_module;

namespace {

/// Stands for a Linear and answers with zeros.
class Silent final : public nn::Implements<Silent> {
 public:
  static constexpr std::string_view kType = "Silent";

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x * 0; }
};

const ConvertMapping kMapping{{"Linear", [](const nn::Module&) { return std::make_shared<Silent>(); }}};

std::string types(const nn::Module& model) {
  std::string out;
  for (const char* path : {"seq.0", "seq.1", "seq.2", "linear1", "linear2"})
    out += cat(model.find_module(path)->type_name(), " ");
  return out;
}

ModulePtr prepared(std::initializer_list<const char*> tensors) {
  const ModulePtr model = simple_linear();
  ImplementedSparsifier s;
  sparsity::SparsifierConfig config;
  for (const char* tensor : tensors) config.push_back(at(tensor));
  s.prepare(model, config);
  return model;
}

}  // namespace

TEST_SUITE("sparsity/sparsifier/convert") {
  TEST_CASE("prepared modules whose type is mapped are replaced, at any depth") {
    const ModulePtr model = prepared({"seq.1.weight", "linear2.weight"});
    const ModulePtr other = sparsity::convert(model, kMapping);
    CHECK(other != model);
    CHECK(types(*model) == "Linear Linear Linear Linear Linear ");
    CHECK(types(*other) == "Linear Silent Linear Linear Silent ");
    CHECK(sparsity::convert(model, kMapping, true) == model);
    CHECK(types(*model) == "Linear Silent Linear Linear Silent ");
  }

  TEST_CASE("other parametrizations, other types, the root, and an empty mapping change nothing") {
    const ModulePtr model = prepared({"linear1.weight"});
    (void)sparsity::convert(model, kMapping, true, "FakeStructuredSparsity");
    (void)sparsity::convert(model, {}, true);
    (void)sparsity::convert(model, {{"Conv2d", kMapping.at("Linear")}}, true);
    CHECK(types(*model) == "Linear Linear Linear Linear Linear ");

    const ModulePtr root = std::make_shared<nn::Linear>(2, 2);
    ImplementedSparsifier s;
    s.prepare(root, {at("weight")});
    CHECK(sparsity::convert(root, kMapping, true) == root);
  }

  TEST_CASE("a module in two places is made once, and keeps its hooks and mode") {
    const auto shared = std::make_shared<nn::Linear>(2, 2);
    const ModulePtr model = std::make_shared<nn::Sequential>(std::initializer_list<ModulePtr>{shared, shared});
    ImplementedSparsifier s;
    s.prepare(model);
    int calls = 0;
    shared->register_forward_hook([&](const nn::Module&, const TensorList&, const TensorList&) {
      ++calls;
      return std::nullopt;
    });
    model->eval();
    (void)sparsity::convert(model, kMapping, true);
    CHECK(model->child("0") == model->child("1"));
    CHECK(model->child("0")->type_name() == "Silent");
    CHECK_FALSE(model->child("0")->training());
    CHECK((*model)(ones({1, 2})) == zeros({1, 2}));
    CHECK(calls == 2);
  }

  TEST_CASE("swap_module gives the module itself where its type is not mapped") {
    const ModulePtr linear = std::make_shared<nn::Linear>(2, 2), flat = std::make_shared<nn::Flatten>();
    CHECK(swap_module(flat, kMapping) == flat);
    linear->eval();
    const ModulePtr made = swap_module(linear, kMapping);
    CHECK(made->type_name() == "Silent");
    CHECK_FALSE(made->training());
  }

  TEST_CASE("a mapping that makes nothing is refused, and the model stays as it is") {
    const ModulePtr model = prepared({"linear1.weight", "linear2.weight"});
    int made = 0;
    const ConvertMapping second{
        {"Linear", [&](const nn::Module&) { return ++made == 2 ? nullptr : std::make_shared<Silent>(); }}};
    CHECK_THROWS_AS(sparsity::convert(model, second, true), ValueError);
    CHECK(types(*model) == "Linear Linear Linear Linear Linear ");
    CHECK_THROWS_AS(sparsity::convert(model, {{"Linear", nullptr}}, true), ValueError);
    CHECK_THROWS_AS(sparsity::convert(nullptr, kMapping), ValueError);
    CHECK_THROWS_AS((void)swap_module(nullptr, kMapping), ValueError);
  }
}
