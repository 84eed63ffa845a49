#include <coppice/nn.h>
#include <iostream>
using namespace coppice;

int main() {
  const auto layer = std::make_shared<nn::Linear>(2, 2);
  {
    const NoGrad guard;
    layer->tensor("weight").copy_(Tensor::of({{1, -2}, {0.5, 0.25}}));
    layer->tensor("bias").copy_(Tensor::of({0.3, -0.7}));
  }
  nn::ModulePtr model = std::make_shared<nn::Sequential>(
      std::initializer_list<nn::ModulePtr>{std::make_shared<nn::quant::QuantStub>(), layer,
                                           std::make_shared<nn::ReLU>(), std::make_shared<nn::quant::DeQuantStub>()});
  model->eval();
  const Tensor x = Tensor::of({{1, 2}, {-1, 0.5}, {0, 0}, {3, -1}});

  model = nn::quant::fuse_modules(model, {{"1", "2"}});
  model->set_qconfig(nn::quant::get_default_qconfig("x86"));
  const nn::ModulePtr prepared = nn::quant::prepare(model);
  const Tensor exact = (*prepared)(x);  // the calibration: observers see what flows
  const nn::ModulePtr converted = nn::quant::convert(prepared);

  std::cout << converted->describe() << '\n';
  const auto& linear = dynamic_cast<const nn::quant::QuantizedLinear&>(*converted->child("1"));
  std::cout << "weight " << int_repr(linear.weight()) << '\n'
            << "scales " << q_per_channel_scales(linear.weight()) << '\n'
            << "output scale " << linear.scale() << ", zero point " << linear.zero_point() << '\n'
            << "in float " << exact << '\n'
            << "in int8  " << (*converted)(x) << '\n';
}
