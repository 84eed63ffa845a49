#include <cstdio>

#include "coppice/engine/create.h"
#include "coppice/engine/ops/linalg.h"

int main() {
  const coppice::Tensor y = coppice::matmul(coppice::ones({2, 3}), coppice::ones({3, 4}));
  std::puts(to_string(y.shape()).c_str());
}
