#include "quant/words.h"

#include "coppice/engine/error.h"

namespace coppice::nn::quant {

Dtype dtype_of_word(std::string_view word) {
  if (const auto dtype = dtype_from_name(word)) return *dtype;
  throw ValueError(cat("[quant] '", word, "' is no element type"));
}

QScheme qscheme_of_word(std::string_view word) {
  for (const QScheme s : {QScheme::per_tensor_affine, QScheme::per_tensor_symmetric, QScheme::per_channel_affine,
                          QScheme::per_channel_symmetric, QScheme::per_channel_affine_float_qparams})
    if (name_of(s) == word) return s;
  throw ValueError(cat("[quant] '", word, "' is no quantisation scheme"));
}

}  // namespace coppice::nn::quant
