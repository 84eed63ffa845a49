// TestPostTrainingCallback and TestTrainingAwareCallback of PyTorch's test_callbacks.py, under their names. Hooks are
// called with a context alone, where PyTorch's get the number 42 for a trainer.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/data/step_sl_scheduler.h"
#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/training/callbacks/model_data.h"
#include "coppice/sparsity/training/callbacks/post_training_data_sparsity.h"
#include "coppice/sparsity/training/callbacks/training_aware_data_sparsity.h"

using namespace coppice;
using namespace coppice::sparsity;
using nn::Linear;

namespace {

/// Linear layers without bias, with ReLU between.
nn::ModulePtr make_model(std::int64_t inputs, const std::vector<std::int64_t>& outputs) {
  manual_seed(0);
  const auto model = std::make_shared<nn::Sequential>();
  std::int64_t at = 0;
  for (const std::int64_t output : outputs) {
    if (at > 0) model->add_module(cat(at++), std::make_shared<nn::ReLU>());
    model->add_module(cat(at++), std::make_shared<Linear>(inputs, output, false));
    inputs = output;
  }
  return model;
}

const DataNormOptions kSparsifier{.sparsity_level = 0.5, .sparse_block_shape = {1, 4}, .zeros_per_block = 4};
DataSparsifierFactory norm_sparsifier() {
  return [] { return std::make_unique<DataNormSparsifier>(kSparsifier); };
}

void check_defaults(const BaseDataSparsifier& sparsifier) {
  CHECK(sparsifier.defaults().number("sparsity_level") == 0.5);
  CHECK(sparsifier.defaults().integers("sparse_block_shape") == std::vector<std::int64_t>{1, 4});
  CHECK(sparsifier.defaults().integer("zeros_per_block") == 4);
}

void check_on_fit_end(const nn::ModulePtr& model, PostTrainingDataSparsity& callback) {
  TrainContext context{.model = model.get()};
  callback.on_fit_end(context);
  const BaseDataSparsifier& sparsifier = *callback.data_sparsifier();
  check_defaults(sparsifier);
  for (const auto& [name, parameter] : model->named_parameters()) {
    const std::string valid = valid_name(name);
    CAPTURE(valid);
    CHECK(sparsifier.contains(valid));
    CHECK(sparsifier.group(valid).has("sparsity_level"));
    CHECK(sparsity_of(sparsifier.get_mask(valid)) > 0);
    const Tensor data = sparsifier.get_data(valid, false), there = ne(data, Tensor::of(0.F)).to(Dtype::f32);
    CHECK(mul(data, there) == mul(parameter.detach(), there));
  }
}

void check_on_train_start(TrainContext& context, TrainingAwareDataSparsity& callback) {
  callback.on_train_start(context);
  REQUIRE(callback.data_sparsifier() != nullptr);
  REQUIRE(callback.data_scheduler() != nullptr);
  check_defaults(*callback.data_sparsifier());
  const auto& scheduler = dynamic_cast<const StepSLScheduler&>(*callback.data_scheduler());
  CHECK(scheduler.gamma() == 2);
  CHECK(scheduler.step_size() == 1);
}

void check_on_train_epoch_start(TrainContext& context, TrainingAwareDataSparsity& callback) {
  callback.on_train_epoch_start(context);
  if (!callback.data_sparsifier_state_dict()) return;
  const DataSparsifierState now = callback.data_sparsifier()->state_dict(),
                            saved = *callback.data_sparsifier_state_dict();
  REQUIRE(now.container.size() == saved.container.size());
  for (const auto& [name, tensor] : saved.container) CHECK(now.container.at(name) == tensor);
  REQUIRE(now.state.size() == saved.state.size());
  for (const auto& [name, entry] : saved.state) {
    REQUIRE(now.state.contains(name));
    CHECK(to_dense(now.state.find(name)->mask) ==
          to_dense(entry.mask));  // as meant: COO masks cannot be compared there
  }
  REQUIRE(now.data_groups.size() == saved.data_groups.size());
  for (const auto& [name, config] : saved.data_groups) {
    REQUIRE(now.data_groups.contains(name));
    CHECK(*now.data_groups.find(name) == config);
  }
}

void simulate_update_param_model(nn::Module& model) {
  for (auto& [name, parameter] : model.named_parameters()) {
    Tensor values = parameter.detach();
    values.copy_(add(values, Tensor::of(1.F)));
  }
}

void check_on_train_epoch_end(TrainContext& context, TrainingAwareDataSparsity& callback) {
  callback.on_train_epoch_end(context);
  const BaseDataScheduler& scheduler = *callback.data_scheduler();
  for (const auto& [name, parameter] : context.model->named_parameters()) {
    const std::string valid = valid_name(name);
    CAPTURE(valid);
    CHECK(sparsity_of(callback.data_sparsifier()->get_mask(valid)) > 0);
    const double last = std::log(scheduler.get_last_param().number(valid));
    const double wanted =
        scheduler.base_param().number(valid) * std::pow(2, static_cast<double>(scheduler.last_epoch()));
    CHECK(last == std::log(wanted));
  }
}

/// Never called there, and wrong: it reads an attribute that does not exist.
void check_on_train_end(TrainContext& context, TrainingAwareDataSparsity& callback) {
  callback.on_train_end(context);
  for (const auto& [name, parameter] : context.model->named_parameters())
    CHECK_FALSE(callback.data_sparsifier()->is_parametrized(valid_name(name)));
}

}  // namespace

TEST_SUITE("torch/test/ao/sparsity/test_callbacks.py") {
  TEST_CASE("TestPostTrainingCallback::test_post_training_callback") {
    PostTrainingDataSparsity callback(norm_sparsifier());
    check_on_fit_end(make_model(100, {128, 256, 16}), callback);
  }

  TEST_CASE("TestTrainingAwareCallback::test_train_aware_callback") {
    const CatchWarnings replaced;
    const nn::ModulePtr model = make_model(100, {128, 256, 16});
    TrainContext context{.model = model.get()};
    TrainingAwareDataSparsity callback(norm_sparsifier(), [](BaseDataSparsifier& s) {
      return std::make_unique<StepSLScheduler>(s, "sparsity_level", 1, 2);
    });
    check_on_train_start(context, callback);
    for (context.epoch = 0; context.epoch < 5; ++context.epoch) {
      check_on_train_epoch_start(context, callback);
      simulate_update_param_model(*model);
      check_on_train_epoch_end(context, callback);
    }
    check_on_train_end(context, callback);
  }

  TEST_CASE("the same with gamma 1.2: zeros and levels that PyTorch 1.13.1 gave") {
    const CatchWarnings replaced;
    const nn::ModulePtr model = make_model(100, {128, 256, 16});
    TrainContext context{.model = model.get()};
    TrainingAwareDataSparsity callback(norm_sparsifier(), [](BaseDataSparsifier& s) {
      return std::make_unique<StepSLScheduler>(s, "sparsity_level", 1, 1.2);
    });
    callback.on_train_start(context);
    const struct {
      std::int64_t zeros[3];
      double level;
    } observed[] = {{{6400, 16384, 2048}, 0.6},
                    {{7680, 19660, 2456}, 0.72},
                    {{9216, 23592, 2948}, 0.864},
                    {{11060, 28312, 3540}, 1.0368},
                    {{12800, 32768, 4096}, 1.24416}};
    const char* const names[] = {"0_weight", "2_weight", "4_weight"};
    for (const auto& row : observed) {
      callback.on_train_epoch_start(context);
      simulate_update_param_model(*model);
      callback.on_train_epoch_end(context);
      for (std::size_t i = 0; i < 3; ++i) {
        const Tensor mask = callback.data_sparsifier()->get_mask(names[i]);
        CHECK(mask.numel() - count_nonzero(mask) == row.zeros[i]);
        CHECK(callback.data_sparsifier()->group(names[i]).number("sparsity_level") == doctest::Approx(row.level));
      }
    }
  }
}
