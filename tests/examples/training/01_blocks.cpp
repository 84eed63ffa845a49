#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;
using namespace coppice::sparsity;

/// Writes the zeros of the first weight after every epoch.
class Zeros final : public Callback {
 public:
  void on_train_epoch_end(TrainContext& at) override {
    const Tensor weight = at.model->child("0")->tensor("weight");
    std::cout << "epoch " << at.epoch + 1 << ": " << weight.numel() - count_nonzero(weight) << " zeros\n";
  }
};

int main() {
  manual_seed(0);
  const auto model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      std::make_shared<nn::Linear>(32, 64), std::make_shared<nn::ReLU>(), std::make_shared<nn::Linear>(64, 4)});
  const Tensor x = randn({256, 32});
  const Dataset data = make_dataset(x, argmax(narrow(x, 1, 0, 4), 1));

  SparsifierCallbackOptions options;
  options.config = SparsifierConfig{{{"tensor_fqn", "0.weight"}}};
  const auto pruning = std::make_shared<SparsifierCallback>(
      [] {
        return std::make_unique<WeightNormSparsifier>(0.75, Block{16, 1});
      },
      [](BaseSparsifier& s) { return std::make_unique<CubicSL>(s, CubicSettings{.delta_t = 1.0, .total_t = 4.0}); },
      options);

  nn::Adam optimizer(model->parameters(), {.lr = 0.01});
  Trainer({.epochs = 6}).add(pruning).add(std::make_shared<Zeros>()).fit(*model, optimizer, data);

  std::cout << "parametrized afterwards: " << nn::parametrize::is_parametrized(*model->child("0")) << '\n'
            << "level of the scheduler: " << pruning->scheduler()->get_last_sl().at(0) << '\n';
  const PackedMatrix packed = PackedMatrix::pack(model->child("0")->tensor("weight").detach(), "block16");
  std::cout << "packed: " << packed.nonzeros() << " numbers of " << packed.rows() * packed.cols() << '\n';
}
