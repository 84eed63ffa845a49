#include "hostile/small_run.h"

#include <stdlib.h>

#include "coppice/engine/io/npy.h"
#include "coppice/nn.h"
#include "hostile/build.h"

namespace fs = std::filesystem;

namespace coppice::test {

using sparsity::FinetuneOptions;

SmallRun small_run() {
  const nn::SkipInit no_random_numbers;
  SmallRun run;
  run.model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      std::make_shared<nn::Linear>(2, 3), std::make_shared<nn::ReLU>(), std::make_shared<nn::Linear>(3, 2)});
  float value = -0.5F;
  const NoGrad in_place;
  for (const auto& [name, tensor] : run.model->named_parameters())
    for (float& v : Tensor(tensor).mutable_data<float>()) v = value += 0.0625F;
  run.data = sparsity::make_dataset(Tensor::of({{0, 1}, {1, 0}, {1, 1}, {2, 1}, {1, 2}, {3, 0}}),
                                    Tensor::from(std::vector<std::int64_t>{0, 1, 0, 1, 0, 1}, {6}));
  run.options.epochs = 3;
  run.options.batch = 4;
  run.options.lr = 0.125;
  run.options.optimizer = FinetuneOptions::Optimizer::adam;
  run.options.validation = 0;
  run.options.patience = 0;
  run.options.sparsity = 0.5;
  return run;
}

std::string small_checkpoint(int epochs) {
  std::string made = (fs::temp_directory_path() / "coppice-run-XXXXXX").string();
  if (::mkdtemp(made.data()) == nullptr) throw std::runtime_error("no scratch folder");
  SmallRun run = small_run();
  run.options.checkpoint = fs::path(made) / "run.safetensors";
  (void)sparsity::finetune(*run.model, run.data, run.options, sparsity::is_prunable,
                           [&](const sparsity::EpochReport& row) { return row.epoch < epochs; });
  std::string bytes = slurp(run.options.checkpoint);
  fs::remove_all(made);
  return bytes;
}

sparsity::FinetuneReport resume_small_run(const fs::path& path) {
  SmallRun run = small_run();
  run.options.checkpoint = path;
  return sparsity::finetune(*run.model, run.data, run.options);
}

std::vector<std::string> small_run_command(const fs::path& dir, const fs::path& checkpoint) {
  const SmallRun run = small_run();
  const fs::path model = dir / "small.safetensors", x = dir / "x.npy", y = dir / "y.npy";
  nn::save_model(*run.model, model);
  write_npy(x, run.data.x);
  write_npy(y, run.data.y);
  return {"finetune",
          model.string(),
          "-o",
          (dir / "tuned.safetensors").string(),
          "--force",
          "--data",
          x.string() + "," + y.string(),
          "--epochs",
          "3",
          "--batch",
          "4",
          "--lr",
          "0.125",
          "--validation",
          "0",
          "--patience",
          "0",
          "--sparsity",
          "0.5",
          "--checkpoint",
          checkpoint.string()};
}

}  // namespace coppice::test
