#include "coppice/sparsity/training/callbacks/post_training_data_sparsity.h"

#include <doctest/doctest.h>

#include <sstream>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/training/trainer.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace coppice::sparsity;
using nn::Linear;

namespace {

DataSparsifierFactory halves() {
  return [] {
    return std::make_unique<DataNormSparsifier>(DataNormOptions{.sparsity_level = 0.5, .sparse_block_shape = {1, 1}});
  };
}

}  // namespace

TEST_SUITE("sparsity/training/callbacks/post_training_data_sparsity") {
  TEST_CASE("a copy is pruned, biases too, in eval mode; the model stays as it is, and in its mode") {
    manual_seed(0);
    const auto model = std::make_shared<Linear>(4, 2);
    const nn::ModulePtr before = model->clone();
    TrainContext context{.model = model.get()};
    std::ostringstream log;
    PostTrainingDataSparsity callback(halves(), {}, &log);
    CHECK(callback.sparsified() == nullptr);
    CHECK(callback.data_sparsifier() == nullptr);
    callback.on_fit_end(context);
    check_same_bits(nn::state_dict(*model), nn::state_dict(*before));
    CHECK(model->training());
    CHECK_FALSE(callback.sparsified()->training());
    CHECK(sparsity_of(callback.sparsified()->tensor("weight")) == 0.5);
    CHECK(sparsity_of(callback.sparsified()->tensor("bias")) == 0.5);
    CHECK(callback.sparsified()->tensor("weight").is(callback.data_sparsifier()->get_data("weight", false)));
    CHECK(log.str() == "Sparsity in layer weight = 50.00%\nSparsity in layer bias = 50.00%\n");
  }

  TEST_CASE("in a Trainer it runs once, when all is done; a second fit makes everything anew") {
    const auto model = std::make_shared<Linear>(4, 3);
    Generator g(1);
    const Dataset data = make_dataset(randn({20, 4}, Dtype::f32, &g), zeros({20}, Dtype::i64));
    nn::SGD optimizer(model->parameters(), {.lr = 0.1});
    const auto callback = std::make_shared<PostTrainingDataSparsity>(halves());
    Trainer trainer({.epochs = 2});
    trainer.add(callback).fit(*model, optimizer, data);
    const auto first = callback->sparsified();
    const Tensor kept = callback->data_sparsifier()->get_mask("weight").to(Dtype::f32);
    CHECK(first->tensor("weight").detach() == mul(model->tensor("weight").detach(), kept));
    trainer.fit(*model, optimizer, data);
    CHECK(callback->sparsified() != first);
  }

  TEST_CASE("tied parameters stay tied in the copy") {
    const auto layer = std::make_shared<Linear>(4, 4, false);
    const auto model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{layer, layer});
    TrainContext context{.model = model.get()};
    PostTrainingDataSparsity callback(halves());
    callback.on_fit_end(context);
    CHECK(callback.data_sparsifier()->names() == std::vector<std::string>{"0_weight"});
    CHECK(callback.sparsified()->child("0")->tensor("weight").is(callback.sparsified()->child("1")->tensor("weight")));
    CHECK(sparsity_of(callback.sparsified()->child("1")->tensor("weight")) == 0.5);
  }

  TEST_CASE("kernels of convolutions are refused unless they are left out; what was made before stays") {
    const auto model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
        std::make_shared<nn::Conv2d>(nn::ConvSettings{1, 2, {3, 3}, {}}), std::make_shared<Linear>(4, 4)});
    TrainContext context{.model = model.get()};
    PostTrainingDataSparsity all(halves());
    CHECK_THROWS_AS(all.on_fit_end(context), ShapeError);  // a ValueError
    CHECK(all.sparsified() == nullptr);
    PostTrainingDataSparsity some(halves(), [](const std::string&, const Tensor& t) { return t.dim() <= 2; });
    some.on_fit_end(context);
    CHECK(some.data_sparsifier()->names() == std::vector<std::string>{"0_bias", "1_weight", "1_bias"});
  }

  TEST_CASE("what is missing is said") {
    CHECK_THROWS_AS(PostTrainingDataSparsity({}), ValueError);
    PostTrainingDataSparsity none([] { return std::unique_ptr<BaseDataSparsifier>(); });
    const auto model = std::make_shared<Linear>(2, 2);
    TrainContext context{.model = model.get()}, empty;
    CHECK_THROWS_WITH_AS(none.on_fit_end(context),
                         "[PostTrainingDataSparsity] the function that makes the sparsifier made none", ValueError);
    PostTrainingDataSparsity callback(halves());
    CHECK_THROWS_AS(callback.on_fit_end(empty), StateError);
  }
}
