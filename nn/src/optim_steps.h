#pragma once
/// The arithmetic of one optimiser step over plain arrays: PyTorch's formulas in its order of roundings, so that states
/// come out with the same bits. A term whose factor is 0 is left out, not multiplied: 0 * inf is NaN, and -0 + 0 loses
/// its sign.

#include <cstdint>

#include "coppice/engine/parallel.h"

namespace coppice::nn {

template <class T>
struct SgdStep {
  T* p;        ///< parameter
  const T* g;  ///< gradient
  T* v;        ///< velocity; null without momentum
  T decay, momentum, fresh, rate;
  bool first, nesterov;
};

template <class T>
struct AdamStep {
  T* p;
  const T* g;
  T *m, *v;  ///< first and second moment
  T* top;    ///< largest second moment; null without amsgrad
  T c1, b2, c2, eps, rate, scale;
  T coupled;  ///< weight decay added to the gradient
  T shrink;   ///< factor of the parameter
};

/// Elements `rows` of the step. float and double.
template <class T>
void run(const SgdStep<T>& step, Rows rows);
template <class T>
void run(const AdamStep<T>& step, Rows rows);

}  // namespace coppice::nn
