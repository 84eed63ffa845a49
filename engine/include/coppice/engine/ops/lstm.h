#pragma once
/// One direction of one LSTM layer over a whole sequence, with its gradient: a part of torch.nn.LSTM.

#include "coppice/engine/tensor.h"

namespace coppice {

/// Weights of one direction; gates are stacked in the order i, f, g, o. H: hidden size, R: output size (H, or the
/// projection's).
struct LstmWeights {
  Tensor ih;       ///< [4H, in]
  Tensor hh;       ///< [4H, R]
  Tensor bias_ih;  ///< [4H] or undefined
  Tensor bias_hh;  ///< [4H] or undefined
  Tensor hr;       ///< [R, H], the projection, or undefined: then R = H
};

struct LstmResult {
  Tensor output;  ///< [t, n, R]
  Tensor h;       ///< [n, R], after the last step taken
  Tensor c;       ///< [n, H]
};

/// c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c') [Wᵀhr], gates = x Wᵀih + bih + h Wᵀhh + bhh.
/// Cost: one product for all inputs, one per step for the hidden state; a gradient keeps 6 H numbers per step and
/// sample.
/// @param x        [t, n, in]; t may be 0
/// @param h0       [n, R]; @param c0  [n, H]
/// @param reverse  takes the steps from the last to the first; the output keeps their places
/// @throws ShapeError, DtypeError  (all tensors of one floating type)
[[nodiscard]] LstmResult lstm_layer(const Tensor& x, const Tensor& h0, const Tensor& c0, const LstmWeights& weights,
                                    bool reverse = false);

}  // namespace coppice
