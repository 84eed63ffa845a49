#include <coppice/sparsity.h>
#include <cstdio>
using namespace coppice;

sparsity::Dataset digits(const std::string& part) {
  return sparsity::make_dataset(read_npy("coppice-demo/" + part + "_images.npy"),
                                read_npy("coppice-demo/" + part + "_classes.npy"));
}

int main() {
  const nn::ModulePtr model = nn::read_architecture("coppice-demo/lenet_digits.arch.json");
  nn::load_state_dict(*model, read_torch("coppice-demo/lenet_digits.pt"));  // as PyTorch wrote it

  sparsity::FinetuneOptions options;
  options.epochs = 12;
  options.sparsity = 0.9;  // pruned gradually while it trains
  sparsity::finetune(*model, digits("train"), options);
  nn::save_model(*sparsity::pack(*model).model, "coppice-demo/mine.safetensors");

  const nn::ModulePtr packed = nn::load_model("coppice-demo/mine.safetensors");  // mapped, run in place
  const sparsity::Evaluation score = sparsity::evaluate(*packed, digits("test"));
  std::printf("%d of %d correct\n", static_cast<int>(score.correct), static_cast<int>(score.count));
}
