#include "coppice/sparsity/prunables.h"

#include <doctest/doctest.h>

#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/nn/bits.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/norm.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/sparsity/prune/prune.h"
#include "coppice/sparsity/tied.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::sparsity;
using coppice::test::slurp, coppice::test::TempDir;

namespace {

std::vector<std::string> names_of(const std::vector<Prunable>& all) {
  std::vector<std::string> out;
  for (const Prunable& p : all) out.push_back(p.name);
  return out;
}
using Names = std::vector<std::string>;

const Tensor kWeight = Tensor::of({{1, 2}, {3, 4}}), kMask = Tensor::of({{1, 0}, {1, 1}});

/// A pair of each family, and a tensor that only looks like a mask.
NamedTensors checkpoint() {
  return {{"a.weight_mask", kMask},
          {"a.weight_orig", kWeight},
          {"b.parametrizations.weight.original", kWeight},
          {"b.parametrizations.weight.0.mask", kMask},
          {"c.weight", kWeight},
          {"lonely_mask", Tensor::of({1, 0})}};
}

}  // namespace

TEST_SUITE("sparsity/prunables") {
  TEST_CASE("for_each goes in order and ends with the first error, which names the tensor and keeps its type") {
    const PrunableTensors tensors(checkpoint(), "file");
    Names seen;
    CHECK_THROWS_WITH_AS(for_each(tensors.all(),
                                  [&](const Prunable& p) {
                                    seen.push_back(p.name);
                                    if (p.name == "b.weight") throw ShapeError("[prune] no");
                                  }),
                         "'b.weight': [prune] no", ShapeError);
    CHECK(seen == Names{"a.weight", "b.weight"});
  }

  TEST_CASE("the parameters of a model, masked ones by the name that it computes with") {
    nn::Sequential model{std::make_shared<nn::Linear>(2, 2), std::make_shared<nn::Linear>(2, 2, false)};
    nn::attach_mask(*model.at(0), "weight", kMask);
    const auto all = prunables_of(model);
    CHECK(names_of(all) == Names{"0.bias", "0.weight", "1.weight"});
    CHECK(all[1].slot == "weight");
    CHECK(all[1].module == model.at(0).get());
    CHECK(all[1].value().at({0, 1}) == 0);
    CHECK(names_of(chosen(all, is_prunable)) == Names{"0.weight", "1.weight"});
    CHECK(chosen(all, [](const std::string& name, const Tensor&) { return name == "x"; }).empty());
  }

  TEST_CASE("what a norm has is no weight, whatever it is called") {
    nn::Sequential model{std::make_shared<nn::LayerNorm>(std::vector<std::int64_t>{2, 3}),
                         std::make_shared<nn::Linear>(3, 2)};
    const auto all = prunables_of(model);
    CHECK(left_by_default(all[0]) == "the weight of a norm");
    CHECK(all[0].name == "0.weight");
    CHECK(left_by_default(all[2]) == "");
    CHECK(left_by_default(all[3]) == "it has less than two axes");
  }

  TEST_CASE("what is one tensor under several names has one copy in what is written") {
    const Tensor one = Tensor::of({{1, 2}, {3, 4}});
    PrunableTensors held({{"a.weight", one}, {"b.weight", one.detach()}, {"c.weight", one.clone()}}, "file");
    const Prunable& first = held.all()[0];
    prune::l1_unstructured(*first.module, first.slot, 1);
    share_mask({held.all()[0], held.all()[1]});
    for (const bool keep : {true, false}) {
      const NamedTensors out = held.tensors(keep);
      const std::string end = keep ? "_orig" : "";
      CHECK(out.at("a.weight" + end).shares_storage(out.at("b.weight" + end)));
      if (keep) CHECK(out.at("a.weight_mask").shares_storage(out.at("b.weight_mask")));
      if (!keep) CHECK(out.at("b.weight") == Tensor::of({{0, 2}, {3, 4}}));
      CHECK_FALSE(out.at("c.weight").shares_storage(out.at("a.weight" + end)));
      CHECK(out.at("c.weight") == Tensor::of({{1, 2}, {3, 4}}));
    }
  }

  TEST_CASE("of two names of one tensor, pruning one alone leaves the other as it is") {
    const Tensor one = Tensor::of({{1, 2}, {3, 4}});
    PrunableTensors held({{"a.weight", one}, {"b.weight", one.detach()}}, "file");
    prune::l1_unstructured(*held.all()[0].module, held.all()[0].slot, 1);
    const NamedTensors out = held.tensors(false);
    CHECK(out.at("a.weight") == Tensor::of({{0, 2}, {3, 4}}));
    CHECK(out.at("b.weight") == Tensor::of({{1, 2}, {3, 4}}));
  }

  TEST_CASE("a mask of bits that no module has is in what is written, and value() does not know of it") {
    const TempDir dir;
    PrunableTensors held({{"a.weight", kWeight}, {"b.weight", kWeight.to(Dtype::f16)}, {"c", Tensor::of({7})}}, "file");
    const Tensor mask = Tensor::of({{1, 0}, {0, 1}});
    held.set_bits(held.all()[0], nn::pack_bits(mask));
    held.set_bits(held.all()[1], nn::pack_bits(mask));
    CHECK(held.all()[0].value() == kWeight);
    for (const bool keep : {true, false}) {
      const NamedTensors out = held.tensors(keep);
      if (keep) {
        CHECK(out.names() == Names{"a.weight_orig", "a.weight_mask", "b.weight_orig", "b.weight_mask", "c"});
        CHECK(out.at("a.weight_orig") == kWeight);
        CHECK(out.at("a.weight_mask") == mask);
        CHECK(out.at("b.weight_mask") == mask.to(Dtype::f16));
      } else {
        CHECK(out.names() == Names{"a.weight", "b.weight", "c"});
        CHECK(out.at("a.weight") == nn::apply_mask(kWeight, mask));
        CHECK(out.at("b.weight") == nn::apply_mask(kWeight, mask).to(Dtype::f16));
      }
      write_safetensors(dir / "whole", out, {});
      write_safetensors(dir / "planned", held.planned(keep), {});
      CHECK(slurp(dir / "whole") == slurp(dir / "planned"));
    }
    nn::set_mask(*held.all()[2].module, held.all()[2].slot, Tensor::of({1}));
    CHECK_THROWS_AS(held.set_bits(held.all()[2], zeros({1}, Dtype::u8)), StateError);
    PrunableTensors taken({{"w", kWeight}, {"w_mask", Tensor::of({1})}}, "file");
    taken.set_bits(taken.all()[0], nn::pack_bits(mask));
    CHECK_THROWS_WITH_AS((void)taken.planned(true), doctest::Contains("'w_mask', which the mask of 'w' needs"),
                         FormatError);
  }

  TEST_CASE("pairs of both families in a checkpoint are one masked tensor each") {
    PrunableTensors held(checkpoint(), "file");
    CHECK(names_of(held.all()) == Names{"a.weight", "b.weight", "c.weight", "lonely_mask"});
    for (int i : {0, 1}) CHECK(held.all()[static_cast<std::size_t>(i)].value() == Tensor::of({{1, 0}, {3, 4}}));
    // Of the three entries that a mask leaves, the smallest goes.
    for (const Prunable& p : chosen(held.all(), is_prunable)) prune::l1_unstructured(*p.module, p.slot, 1);
    const Tensor pruned = Tensor::of({{0, 0}, {3, 4}});
    SUBCASE("kept") {
      const NamedTensors out = held.tensors(true);
      CHECK(out.names() == Names{"a.weight_orig", "a.weight_mask", "b.weight_orig", "b.weight_mask", "c.weight_orig",
                                 "c.weight_mask", "lonely_mask"});
      CHECK(out.at("b.weight_orig") == kWeight);
      CHECK(out.at("b.weight_mask") == Tensor::of({{0, 0}, {1, 1}}));
    }
    SUBCASE("burnt in") {
      const NamedTensors out = held.tensors(false);
      CHECK(out.names() == Names{"a.weight", "b.weight", "c.weight", "lonely_mask"});
      CHECK(out.at("a.weight") == pruned);
      CHECK(out.at("b.weight") == pruned);
      CHECK(out.at("c.weight") == Tensor::of({{0, 2}, {3, 4}}));
    }
  }

  TEST_CASE("a mask of another shape and a tensor beside its original are refused, naming file and tensors") {
    NamedTensors shape{{"w_orig", kWeight}, {"w_mask", Tensor::of({1})}};
    CHECK_THROWS_WITH_AS(PrunableTensors(shape, "file"),
                         doctest::Contains("'file': 'w_mask' has shape (1,) for 'w_orig' of (2, 2)"), FormatError);
    NamedTensors twice = checkpoint();
    twice.add("b.weight", kWeight);
    CHECK_THROWS_WITH_AS(PrunableTensors(twice, "file"),
                         doctest::Contains("'file' holds 'b.weight' beside 'b.parametrizations.weight.original'"),
                         FormatError);
  }

  TEST_CASE("both families for one tensor, and a FakeSparsity before other parametrizations, are refused") {
    NamedTensors both{{"w_orig", kWeight}, {"w_mask", kMask}};
    both.add("parametrizations.w.original", kWeight);
    both.add("parametrizations.w.0.mask", kMask);
    CHECK_THROWS_WITH_AS(PrunableTensors(both, "file"),
                         doctest::Contains("'file' holds 'w_orig' beside 'parametrizations.w.original'"), FormatError);
    NamedTensors more = checkpoint();
    more.add("b.parametrizations.weight.1.scale", kWeight);
    CHECK_THROWS_WITH_AS(
        PrunableTensors(more, "file"),
        doctest::Contains("'file': 'b.parametrizations.weight.original' has more parametrizations than its mask"),
        FormatError);
  }

  TEST_CASE("masks that are kept need their names; burnt in they need none") {
    for (const char* taken : {"b.weight_orig", "b.weight_mask", "c.weight_orig", "c.weight_mask"}) {
      CAPTURE(taken);
      NamedTensors tensors = checkpoint();
      tensors.add(taken, kWeight);
      PrunableTensors held(tensors, "file");
      prune::l1_unstructured(*held.all()[2].module, held.all()[2].slot, 1);  // c.weight
      CHECK(held.all()[2].name == "c.weight");
      CHECK_THROWS_WITH_AS((void)held.tensors(true), doctest::Contains(cat("'file' holds ", quote(taken)).c_str()),
                           FormatError);
      const NamedTensors out = held.tensors(false);
      CHECK(out.at(taken) == kWeight);
      CHECK(out.at("b.weight") == Tensor::of({{1, 0}, {3, 4}}));
    }
  }
}
