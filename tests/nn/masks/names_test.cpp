#include "coppice/nn/masks/names.h"

#include <doctest/doctest.h>

#include "coppice/engine/create.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/parametrize.h"
#include "coppice/nn/state_dict.h"

using namespace coppice;
using namespace coppice::nn;

TEST_SUITE("nn/masks/names") {
  TEST_CASE("suffixes are put on and taken off") {
    CHECK(original_of("0.weight") == "0.weight_orig");
    CHECK(mask_of("weight") == "weight_mask");
    CHECK(name_of_original("weight_orig") == "weight");
    CHECK(name_of_original("weight_orig_orig") == "weight_orig");
    CHECK(name_of_mask("0.weight_mask") == "0.weight");
    CHECK_FALSE(name_of_original("weight"));
    CHECK_FALSE(name_of_original("weight_mask"));
    CHECK_FALSE(name_of_mask(""));
    CHECK(name_of_mask("_mask") == "");
  }

  TEST_CASE("the public name of what stands for a tensor is the tensor's; all others keep theirs") {
    CHECK(public_name("0.weight_orig") == "0.weight");
    CHECK(public_name("0.weight_mask") == "0.weight");
    CHECK(public_name("0.parametrizations.weight.original") == "0.weight");
    CHECK(public_name("parametrizations.weight.original") == "weight");
    CHECK(public_name("0.parametrizations.weight.original1") == "0.weight");
    CHECK(public_name("0.parametrizations.weight.0.mask") == "0.weight");
    for (const char* own : {"0.weight", "0.parametrizations.weight.original0", "0.parametrizations.weight.1.mask",
                            "x_parametrizations.weight.original", "parametrizations.original", "0.original", ""})
      CHECK(public_name(own) == own);
  }

  TEST_CASE("an original is one only where there is a mask") {
    Linear layer(3, 2);
    set_mask(layer, "weight", ones({2, 3}));
    CHECK(is_original(layer, "weight_orig"));
    CHECK_FALSE(is_original(layer, "weight"));
    CHECK_FALSE(is_original(layer, "bias_orig"));
    Linear other(3, 2);
    other.register_parameter("scale_orig", ones({1}));
    CHECK_FALSE(is_original(other, "scale_orig"));
  }

  TEST_CASE("originals that stand alone are what PyTorch writes of prepared weights") {
    const Tensor t = ones({1});
    const NamedTensors all{{"0.bias", t},
                           {"0.parametrizations.weight.original", t},
                           {"parametrizations.w.original", t},
                           {"masked.parametrizations.w.original", t},
                           {"masked.parametrizations.w.0.mask", t},
                           {"two.parametrizations.w.original0", t},
                           {"two.parametrizations.w.original1", t},
                           {"parametrizations.a.b.original", t},
                           {"original", t}};
    std::vector<std::string> found;
    for (const NamedOriginal& o : originals_alone(all)) found.push_back(o.name + " " + o.original);
    CHECK(found ==
          std::vector<std::string>{"0.weight 0.parametrizations.weight.original", "w parametrizations.w.original"});
  }

  TEST_CASE("masks of a checkpoint are found by their names, in the order of the originals") {
    const Tensor t = ones({1});
    const NamedTensors all{{"b.weight_mask", t},
                           {"b.weight_orig", t},
                           {"b.bias", t},
                           {"lonely_orig", t},
                           {"alone_mask", t},
                           {"parametrizations.weight.original", t},
                           {"parametrizations.weight.0.mask", t},
                           {"a.parametrizations.w.original", t},
                           {"a.parametrizations.w.0.mask", t},
                           {"c.parametrizations.w.original", t},
                           {"c.parametrizations.w.0.scale", t},
                           {"xparametrizations.w.original", t},
                           {"xparametrizations.w.0.mask", t},
                           {"parametrizations.a.b.original", t},
                           {"parametrizations.a.b.0.mask", t},
                           {"parametrizations..original", t}};
    std::vector<std::string> found;
    for (const NamedMask& m : masks_in(all)) found.push_back(m.name + " " + m.original + " " + m.mask);
    CHECK(found == std::vector<std::string>{"b.weight b.weight_orig b.weight_mask",
                                            "weight parametrizations.weight.original parametrizations.weight.0.mask",
                                            "a.w a.parametrizations.w.original a.parametrizations.w.0.mask"});
    CHECK(masks_in({}).empty());
  }

  TEST_CASE("a mask of a checkpoint is alone where its list holds nothing else") {
    const Tensor t = ones({1});
    const NamedTensors all{{"a.parametrizations.w.original", t},
                           {"a.parametrizations.w.0.mask", t},
                           {"a.parametrizations.w.1.scale", t},
                           {"b.parametrizations.w.original", t},
                           {"b.parametrizations.w.0.mask", t},
                           {"b.parametrizations.w2.original", t},
                           {"b.parametrizations.w2.0.mask", t},
                           {"b.parametrizations.w2.0.parametrizations.mask.original", t},
                           {"c_orig", t},
                           {"c_mask", t}};
    std::string alone;
    for (const NamedMask& m : masks_in(all)) alone += m.name + (m.alone ? " alone " : " ");
    CHECK(alone == "a.w b.w alone b.w2 c alone ");
  }

  TEST_CASE("the names of both families are those that modules have") {
    Linear pruned(3, 2), prepared(3, 2);
    set_mask(pruned, "weight", ones({2, 3}));
    parametrize::register_parametrization(prepared, "weight", std::make_shared<FakeSparsity>(ones({2, 3})));
    for (const Linear* layer : {&pruned, &prepared}) {
      NamedTensors all = all_tensors(*layer);
      for (const auto& [name, tensor] : layer->named_buffers())
        if (!all.contains(name)) all.add(name, tensor);
      REQUIRE(masks_in(all).size() == 1);
      CHECK(masks_in(all)[0].name == "weight");
    }
  }
}
