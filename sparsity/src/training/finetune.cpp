#include "coppice/sparsity/training/finetune.h"

#include <cmath>

#include "checkpoint.h"
#include "coppice/engine/dtype.h"
#include "coppice/engine/error.h"
#include "coppice/nn/state_dict.h"
#include "training_run.h"

namespace coppice::sparsity {
namespace {

std::int64_t held_back(const FinetuneOptions& o, const Dataset& data) {
  return static_cast<std::int64_t>(std::nearbyint(o.validation * static_cast<double>(data.size())));
}

void check(const FinetuneOptions& o, const Dataset& data) {
  const auto need = [](bool holds, const char* rule, double got) {
    if (!holds) throw ValueError(cat("[finetune] ", rule, "; got ", got));
  };
  need(o.epochs >= 1 && o.epochs <= kMostEpochs, "epochs must be in 1..1,000,000,000", static_cast<double>(o.epochs));
  need(o.batch >= 1, "batch must be at least 1", static_cast<double>(o.batch));
  need(o.validation >= 0 && o.validation < 1, "validation must be in [0, 1)", o.validation);
  need(o.patience >= 0, "patience must be at least 0", static_cast<double>(o.patience));
  need(o.ramp > 0 && o.ramp <= 1, "ramp must be in (0, 1]", o.ramp);
  need(o.updates_per_epoch >= 1, "updates_per_epoch must be at least 1", static_cast<double>(o.updates_per_epoch));
  need(!o.sparsity || (*o.sparsity >= 0 && *o.sparsity <= 1), "sparsity must be in 0..1", o.sparsity.value_or(0));
  need(data.size() >= 2, "training needs at least 2 samples", static_cast<double>(data.size()));
  const std::int64_t left = data.size() - held_back(o, data);
  need(left >= 1, "the validation share leaves no sample to train on; samples left", static_cast<double>(left));
}

/// A training that starts from NaN would blame the learning rate.
void check_finite(const std::string& what, const Tensor& t) {
  if (!is_floating(t.dtype())) return;
  dispatch(t.dtype(), [&]<class T>() {
    for (const T value : t.data<T>())
      if (const auto v = convert<double>(value); !std::isfinite(v))
        throw ValueError(cat("[finetune] ", what, " holds ", std::isnan(v) ? "nan" : v > 0 ? "inf" : "-inf", "; training needs finite numbers"));
  });
}

}  // namespace

bool is_prunable(const std::string& path, const Tensor& weight) {
  const std::size_t dot = path.rfind('.');
  return is_floating(weight.dtype()) && weight.dim() >= 2 &&
         path.compare(dot == std::string::npos ? 0 : dot + 1, 6, "weight") == 0;
}

FinetuneReport finetune(nn::Module& model, const Dataset& train, const FinetuneOptions& o, const WeightFilter& filter,
                        const std::function<bool(const EpochReport&)>& progress) {
  check(o, train);
  for (const auto& [name, tensor] : nn::all_tensors(model)) check_finite(cat("'", name, "'"), tensor);
  check_finite("the data", train.x);
  const bool saving = !o.checkpoint.empty();
  const std::string recipe = saving ? recipe_of(model, train, o) : "";
  Generator generator(o.seed);
  const std::vector<std::int64_t> order = generator.permutation(train.size());
  const std::int64_t held = held_back(o, train);
  const Dataset validation = held > 0 ? train.subset({order.begin(), order.begin() + held}) : train;
  const Dataset data = held > 0 ? train.subset({order.begin() + held, order.end()}) : train;

  // Training happens on a copy: whatever fails, the model is as it was.
  const nn::ModulePtr copy = model.clone();
  TrainingRun run(*copy, o, filter, data, validation, generator);
  // What cannot be looked at is not there either, or cannot be written, which the first save says.
  std::error_code ignored;
  if (saving && std::filesystem::exists(o.checkpoint, ignored))
    resume_checkpoint(o.checkpoint, recipe, o.epochs, o.read, run);
  while (!run.done()) {
    const EpochReport& row = run.run_epoch();
    if (saving) save_checkpoint(o.checkpoint, recipe, run);
    if (progress && !progress(row)) break;
  }
  const FinetuneReport report = run.finish();
  const NamedTensors trained = nn::all_tensors(*copy);
  const auto modules = model.named_modules();
  (void)attach_masks(model, filter);  // where zeros are: the weights that the model computes with stay the same
  TensorList parameters = model.parameters();
  nn::load_state_dict(model, trained);
  // Nothing from here on takes memory.
  for (Tensor& parameter : parameters) parameter.set_grad(Tensor());
  for (const auto& [path, module] : modules) module->set_training(false);
  return report;
}

}  // namespace coppice::sparsity
