#include <coppice/sparsity.h>
#include <iostream>
using namespace coppice;

double zeros_of(const Tensor& t) { return mean(eq(t, Tensor::of(0)).to(Dtype::f32)).item(); }

int main() {
  default_generator().manual_seed(1);
  nn::ModulePtr model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      std::make_shared<nn::quant::QuantStub>(), std::make_shared<nn::Linear>(16, 32), std::make_shared<nn::ReLU>(),
      std::make_shared<nn::Linear>(32, 4), std::make_shared<nn::quant::DeQuantStub>()});
  const Tensor x = randn({64, 16}), target = randn({64, 4});

  sparsity::WeightNormSparsifier sparsifier(0.75, {1, 4});
  sparsifier.prepare(model);
  sparsifier.step();  // prune first: observers are to see the range of what is left

  model->set_qconfig(nn::quant::get_default_qat_qconfig("x86"));
  model = nn::quant::prepare_qat(model, nn::quant::Mode::inplace);
  nn::SGD optimiser(model->parameters(), {.lr = 0.1});
  for (int step = 0; step < 50; ++step) {
    model->zero_grad();
    const Tensor difference = (*model)(x)-target;
    mean(difference * difference).backward();
    optimiser.step();
  }
  model->eval();
  const Tensor trained = (*model)(x);
  const nn::ModulePtr converted = nn::quant::convert(model);

  for (const char* path : {"1", "3"}) {
    const auto& layer = dynamic_cast<const nn::quant::QuantizedLinear&>(*converted->find_module(path));
    std::cout << path << ": zeros " << zeros_of(layer.weight()) << ", stored as " << layer.prepared().storage() << '\n';
  }
  std::cout << "converted within " << (max_difference((*converted)(x), trained) < 0.1 ? "0.1" : "more than 0.1")
            << " of the trained network\n";
}
