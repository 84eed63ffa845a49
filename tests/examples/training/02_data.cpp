#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;
using namespace coppice::sparsity;

int main() {
  manual_seed(0);
  const auto model = std::make_shared<nn::Linear>(32, 4);
  const Tensor x = randn({64, 32});
  const Dataset data = make_dataset(x, argmax(narrow(x, 1, 0, 4), 1));

  const DataSparsifierFactory half = [] {
    return std::make_unique<DataNormSparsifier>(DataNormOptions{.sparsity_level = 0.5, .sparse_block_shape = {1, 1}});
  };
  const auto after = std::make_shared<PostTrainingDataSparsity>(half, WeightFilter(), &std::cout);
  const auto along = std::make_shared<TrainingAwareDataSparsity>(
      half, [](BaseDataSparsifier& s) { return std::make_unique<StepSLScheduler>(s, "sparsity_level", 1, 1.2); });

  const CatchWarnings quiet;  // the data of an epoch take the place of those of the one before: that is meant
  nn::SGD optimizer(model->parameters(), {.lr = 0.1});
  Trainer({.epochs = 3}).add(after).add(along).fit(*model, optimizer, data);

  const auto zeros = [](const nn::Module& m) { return 128 - count_nonzero(m.tensor("weight")); };
  std::cout << "zeros in the model: " << zeros(*model) << '\n'
            << "in the copy that was pruned after it: " << zeros(*after->sparsified()) << '\n'
            << "in the copy that was pruned along it: " << zeros(*along->sparsified()) << '\n';
}
