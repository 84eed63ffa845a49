// PyTorch's test_parametrization.py (of ao) and test_sparsity_utils.py, case by case under their names.
#include <doctest/doctest.h>

#include "sparsity/sparsifier/models.h"
#include "sparsity/sparsifier/quantization_models.h"

using namespace coppice;
using namespace coppice::testing;
using nn::FakeSparsity, nn::Linear, nn::ModulePtr, nn::Sequential;
using nn::parametrize::is_parametrized, nn::parametrize::register_parametrization;

namespace {

using Named = std::pair<std::string, ModulePtr>;

/// linear and seq of two, as the original's ModelUnderTest: weights of the identity, or given.
ModulePtr model_under_test(bool bias) {
  const auto layer = [&] { return std::make_shared<Linear>(16, 16, bias); };
  return std::make_shared<Sequential>(std::initializer_list<Named>{
      Named{"linear", layer()},
      Named{"seq", std::make_shared<Sequential>(std::initializer_list<ModulePtr>{layer(), layer()})}});
}
const char* const kLayers[] = {"linear", "seq.0", "seq.1"};

void set_weight(nn::Module& layer, const Tensor& value) {
  const NoGrad guard;
  layer.tensor("weight").copy_(value);
}

void mask_all(const nn::Module& model, const Tensor& mask) {
  for (const char* path : kLayers)
    register_parametrization(*const_cast<nn::Module&>(model).find_module(path), "weight",
                             std::make_shared<FakeSparsity>(mask.clone()));
}

Tensor original(const nn::Module& model, const char* path) {
  return nn::parametrize::parametrizations_of(*model.find_module(path), "weight").tensor("original");
}

/// The originals' seven models, then more forms: paths with dots, tensors on the root, weights of other names.
std::vector<ModulePtr> models() {
  std::vector<ModulePtr> out = quantization_models();
  out.insert(
      out.end(),
      {simple_linear(), model_under_test(true),
       std::make_shared<Sequential>(std::initializer_list<ModulePtr>{
           std::make_shared<nn::Conv2d>(1, 2, 3), std::make_shared<nn::ReLU>(), std::make_shared<nn::BatchNorm2d>(2)}),
       std::make_shared<Linear>(2, 2), std::make_shared<nn::LSTM>(nn::LstmSettings{3, 2})});
  return out;
}

}  // namespace

TEST_SUITE("sparsity/sparsifier/torch_parametrization") {
  TEST_CASE("TestFakeSparsity.test_masking_logic") {
    const auto layer = std::make_shared<Linear>(16, 16, false);
    set_weight(*layer, eye(16));
    const Tensor x = rand({3, 16});
    CHECK((*layer)(x) == x);
    register_parametrization(*layer, "weight", std::make_shared<FakeSparsity>(zeros({16, 16})));
    CHECK((*layer)(x) == zeros({3, 16}));
  }

  TEST_CASE("TestFakeSparsity.test_weights_parametrized") {
    const ModulePtr model = model_under_test(false);
    for (const char* path : kLayers) CHECK_FALSE(is_parametrized(*model->find_module(path)));
    mask_all(*model, eye(16));
    for (const char* path : kLayers) CHECK(is_parametrized(*model->find_module(path)));
  }

  TEST_CASE("TestFakeSparsity.test_state_dict_preserved") {
    const ModulePtr a = model_under_test(false), b = model_under_test(false);
    for (int i = 0; i < 3; ++i) set_weight(*a->find_module(kLayers[i]), full({16, 16}, i + 1));
    mask_all(*a, eye(16));
    mask_all(*b, zeros({16, 16}));
    const NamedTensors saved = nn::state_dict(*a);
    nn::load_state_dict(*b, saved, false);
    for (const char* path : kLayers) {
      CHECK(is_parametrized(*b->find_module(path)));
      CHECK(original(*a, path) == original(*b, path));
      CHECK_FALSE(fake_sparsity(*a, path)->mask() == fake_sparsity(*b, path)->mask());
    }
    CHECK_THROWS_AS(nn::load_state_dict(*b, saved), nn::LoadError);  // which misses the masks, as PyTorch does
  }

  TEST_CASE("TestFakeSparsity.test_jit_trace: what is frozen gives the same output") {
    const ModulePtr model = model_under_test(false);
    mask_all(*model, eye(16));
    const Tensor x = rand({3, 16});
    const ModulePtr frozen = model->clone();
    nn::burn_in_masks(*frozen);
    CHECK((*frozen)(x) == (*model)(x));
  }

  TEST_CASE("TestSparsityUtilFunctions.test_module_to_fqn, and back: test_fqn_to_module") {
    for (const ModulePtr& model : models())
      for (const auto& [path, module] : model->named_modules()) {
        const auto fqn = nn::module_to_fqn(*model, *module);
        REQUIRE(fqn.has_value());
        CHECK(*fqn == path);
        CHECK(nn::fqn_to_module(*model, *fqn) == module);
      }
  }

  TEST_CASE("TestSparsityUtilFunctions.test_module_to_fqn_fail, …_root, test_fqn_to_module_fail") {
    for (const ModulePtr& model : models()) {
      CHECK_FALSE(nn::module_to_fqn(*model, Linear(3, 3)).has_value());
      CHECK(*nn::module_to_fqn(*model, *model) == "");
      CHECK(nn::fqn_to_module(*model, "foo.bar.baz") == nullptr);
    }
  }

  TEST_CASE("TestSparsityUtilFunctions.test_fqn_to_module_for_tensors") {
    for (const ModulePtr& model : models())
      for (const auto& [path, module] : model->named_modules())
        for (const auto& [name, parameter] : module->own_parameters())
          if (parameter.defined()) CHECK(nn::fqn_to_tensor(*model, nn::joined(path, name)).is(parameter));
  }

  TEST_CASE("TestSparsityUtilFunctions.test_get_arg_info_from_tensor_fqn, …_fail") {
    for (const ModulePtr& model : models()) {
      for (const auto& [path, module] : model->named_modules())
        for (const auto& [name, parameter] : module->own_parameters()) {
          const std::string fqn = nn::joined(path, name);
          const nn::TensorFqn info = nn::get_arg_info_from_tensor_fqn(*model, fqn);
          CHECK(info.module == module);
          CHECK(info.module_fqn == path);
          CHECK(info.tensor_name == name);
          CHECK(info.tensor_fqn == fqn);
        }
      const nn::TensorFqn none = nn::get_arg_info_from_tensor_fqn(*model, "foo.bar.baz");
      CHECK(none.module == nullptr);
      CHECK(none.module_fqn == "foo.bar");
      CHECK(none.tensor_name == "baz");
      CHECK(none.tensor_fqn == "foo.bar.baz");
    }
  }
}
