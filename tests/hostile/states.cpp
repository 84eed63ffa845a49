#include "hostile/states.h"

#include <stdlib.h>

#include <filesystem>

#include "coppice/engine/create.h"
#include "coppice/engine/random.h"
#include "coppice/nn/init.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/sparsity/activation/activation_sparsifier.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/data/step_sl_scheduler.h"
#include "coppice/sparsity/scheduler/cubic.h"
#include "coppice/sparsity/sparsifier/nearly_diagonal.h"
#include "coppice/sparsity/sparsifier/nm.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "coppice/sparsity/state_file.h"
#include "hostile/build.h"

namespace coppice::test {
namespace {

using namespace sparsity;

std::shared_ptr<nn::Sequential> identities() {
  return std::make_shared<nn::Sequential>(
      std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Identity>(), std::make_shared<nn::Identity>()});
}

Tensor numbers(const Shape& shape) {
  Generator generator(5);
  return randn(shape, Dtype::f32, &generator);
}

DataNormSparsifier data_sparsifier() {
  DataNormSparsifier out({{"a", numbers({5, 6})}, {"b", numbers({7})}}, {.norm = "L2"});
  out.step();
  return out;
}

Arguments activation_state() {
  const auto model = identities();
  ActivationSparsifier sparsifier(*model, {.aggregate_fn = AggregateFunction("coppice.mean"),
                                           .reduce_fn = ReduceFunction("coppice.mean_dim0"),
                                           .mask_fn = MaskFunction("coppice.magnitude")});
  sparsifier.register_layer(*model->at(0));
  sparsifier.register_layer(*model->at(1), {.features = std::vector<std::int64_t>{0, 3}, .feature_dim = 1});
  (void)(*model)(numbers({2, 4}));
  sparsifier.step();
  (void)(*model)(numbers({2, 4}));
  return to_arguments(sparsifier.state_dict());
}

}  // namespace

std::string groups_text() {
  return R"([{"tensor_fqn": "0.weight", "module_fqn": "0", "tensor_name": "weight", "sparsity_level": 0.5,
  "sparse_block_shape": [2, 2], "zeros_per_block": 3, "score_dense": true}, {"tensor_fqn": "1.weight"}])";
}

nn::ModulePtr state_model() {
  const nn::SkipInit no_random_numbers;
  const auto model = std::make_shared<nn::Sequential>(
      std::initializer_list<nn::ModulePtr>{std::make_shared<nn::Linear>(8, 8), std::make_shared<nn::Linear>(8, 4)});
  for (const auto& [name, tensor] : model->named_parameters()) tensor.detach().copy_(numbers(tensor.shape()));
  return model;
}

std::vector<std::unique_ptr<BaseSparsifier>> weight_sparsifiers() {
  std::vector<std::unique_ptr<BaseSparsifier>> out;
  out.push_back(std::make_unique<WeightNormSparsifier>());
  out.push_back(std::make_unique<NearlyDiagonalSparsifier>());
  out.push_back(std::make_unique<NmSparsifier>());
  return out;
}

std::vector<std::pair<std::string, Arguments>> valid_states() {
  std::vector<std::pair<std::string, Arguments>> out;
  for (const auto& sparsifier : weight_sparsifiers()) {
    sparsifier->prepare(state_model());
    sparsifier->step();
    out.emplace_back(std::string(sparsifier->type_name()), sparsifier->state_dict());
  }
  WeightNormSparsifier weights;
  weights.prepare(state_model());
  out.emplace_back("CubicSL", CubicSL(weights, {.init_sl = 0.1}).state_dict());
  DataNormSparsifier data = data_sparsifier();
  out.emplace_back("DataNormSparsifier", to_arguments(data.state_dict()));
  out.emplace_back("StepSLScheduler", StepSLScheduler(data).state_dict());
  out.emplace_back("ActivationSparsifier", activation_state());
  return out;
}

std::string state_bytes(const Arguments& state) {
  std::string folder = (std::filesystem::temp_directory_path() / "coppice-state-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no scratch folder");
  const std::filesystem::path path = std::filesystem::path(folder) / "state.safetensors";
  save_arguments(state, path);
  std::string out = slurp(path);
  std::filesystem::remove_all(folder);
  return out;
}

void use_weight_state(BaseSparsifier& prepared, const Arguments& state) {
  (void)prepared.load_state_dict(state);
  prepared.step();
}

void use_data_state(const Arguments& state, const Limits& limits) {
  DataNormSparsifier sparsifier;
  sparsifier.load_state_dict(data_sparsifier_state(state, limits));
  sparsifier.step();
}

void use_activation_state(const Arguments& state, const Limits& limits) {
  const auto model = identities();
  ActivationSparsifier sparsifier(*model);
  sparsifier.load_state_dict(activation_sparsifier_state(state, limits));
  (void)(*model)(numbers({2, 4}));
  sparsifier.step();
}

void use_scheduler_state(const Arguments& state) {
  if (state.has("base_param")) {
    DataNormSparsifier data = data_sparsifier();
    StepSLScheduler scheduler(data);
    scheduler.load_state_dict(state);
    data.step();
    scheduler.step();
    data.step();
  } else {
    WeightNormSparsifier weights;
    weights.prepare(state_model());
    CubicSL scheduler(weights);
    scheduler.load_state_dict(state);
    weights.step();
    scheduler.step();
    weights.step();
  }
}

void use_state(const Arguments& state, const Limits& limits) {
  if (state.has("layers")) return use_activation_state(state, limits);
  if (state.has("data")) return use_data_state(state, limits);
  if (!state.has("groups")) return use_scheduler_state(state);
  const Arguments& groups = state.map("groups");
  const auto tells = [&](const char* key) { return !groups.empty() && groups.map("0").has(key); };
  const auto all = weight_sparsifiers();
  BaseSparsifier& sparsifier = *all[tells("nearliness") ? 1 : tells("pattern") ? 2 : 0];
  sparsifier.prepare(state_model());
  use_weight_state(sparsifier, state);
}

}  // namespace coppice::test
