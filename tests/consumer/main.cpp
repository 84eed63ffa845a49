// Loads a packed model and runs it once.
#include <cstdio>

#include "coppice/engine/create.h"
#include "coppice/nn/io/model_file.h"

int main(int, char** argv) {
  const auto model = coppice::nn::load_model(argv[1]);
  const coppice::Tensor logits = (*model)(coppice::ones({1, 64}));
  std::puts(to_string(logits).c_str());
}
