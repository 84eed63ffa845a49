#include "coppice/sparsity/training/callbacks/model_data.h"

#include <doctest/doctest.h>

#include <sstream>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"

using namespace coppice;
using namespace coppice::sparsity;
using nn::Linear;

namespace {

class TwoOfOneName final : public nn::Implements<TwoOfOneName> {
 public:
  static constexpr std::string_view kType = "TwoOfOneName";
  TwoOfOneName() {
    add_module("a", std::make_shared<Linear>(2, 2));
    register_parameter("a_weight", ones({2, 2}));
  }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }
};

}  // namespace

TEST_SUITE("sparsity/training/callbacks/model_data") {
  TEST_CASE("a datum is called as its parameter, with _ for every dot") {
    CHECK(valid_name("seq.0.weight") == "seq_0_weight");
    CHECK(valid_name("weight") == "weight");
  }

  TEST_CASE("all parameters are data, each tensor once and under its first name") {
    const auto first = std::make_shared<Linear>(2, 2);
    nn::Sequential model({first, std::make_shared<nn::ReLU>(), first});
    const OrderedMap<Tensor> all = data_of(model);
    REQUIRE(all.size() == 2);
    CHECK(all.find("0_weight")->is(first->tensor("weight")));
    CHECK(all.find("0_bias")->is(first->tensor("bias")));
    const OrderedMap<Tensor> matrices =
        data_of(model, [](const std::string&, const Tensor& t) { return t.dim() == 2; });
    REQUIRE(matrices.size() == 1);
    CHECK(matrices.contains("0_weight"));
  }

  TEST_CASE("two parameters that would be one datum are refused, before anything is added") {
    const auto model = std::make_shared<TwoOfOneName>();
    DataNormSparsifier sparsifier;
    CHECK_THROWS_WITH_AS(attach_model(sparsifier, *model),
                         "[attach_model] 'a_weight' and 'a.weight' would both be the datum 'a_weight'; choose one of "
                         "them by `select`",
                         ValueError);
    CHECK(sparsifier.size() == 0);
    attach_model(sparsifier, *model, [](const std::string& name, const Tensor&) { return name != "a_weight"; });
    CHECK(sparsifier.names() == std::vector<std::string>{"a_weight", "a_bias"});
  }

  TEST_CASE("where a later parameter is refused, none is added and none replaced") {
    const CatchWarnings replaced;
    const Linear model(4, 2);
    const Tensor old = ones({2, 4});
    DataNormSparsifier sparsifier({.sparsity_level = 0.5, .sparse_block_shape = {1, 1}});
    sparsifier.add_data("weight", old, {{"sparsity_level", 0.25}});
    sparsifier.add_data("other", ones({2}));
    OrderedMap<Arguments> config;
    config.set("weight", Arguments{{"sparsity_level", 0.75}});
    config.set("bias", Arguments{{"mask", ones({3})}});
    CHECK_THROWS_AS(attach_model(sparsifier, model, {}, config), ShapeError);
    CHECK(sparsifier.names() == std::vector<std::string>{"weight", "other"});
    CHECK(sparsifier.get_data("weight").is(old));
    CHECK(sparsifier.group("weight").number("sparsity_level") == 0.25);
    DataNormSparsifier fresh;
    CHECK_THROWS_AS(attach_model(fresh, model, {}, config), ShapeError);
    CHECK(fresh.size() == 0);
  }

  TEST_CASE("settings of single data, and levels as lines") {
    Linear model(4, 2);
    DataNormSparsifier sparsifier({.sparsity_level = 0, .sparse_block_shape = {1, 1}});
    OrderedMap<Arguments> config;
    config.set("weight", Arguments{{"sparsity_level", 0.25}});
    attach_model(sparsifier, model, {}, config);
    sparsifier.step();
    std::ostringstream log;
    log_sparsified_level(log, sparsifier);
    CHECK(log.str() == "Sparsity in layer weight = 25.00%\nSparsity in layer bias = 0.00%\n");
  }
}
