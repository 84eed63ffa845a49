#pragma once
// What files may put into quantised layers. Private to the library.

#include <string_view>

#include "coppice/engine/io/named_tensors.h"
#include "coppice/engine/quantized_weight.h"
#include "coppice/nn/module.h"

namespace coppice::nn::quant {

/// @throws FormatError  naming `type`, unless `own` has a tensor of that name, type and shape
const Tensor& needed(std::string_view type, const NamedTensors& own, const std::string& name, Dtype dtype,
                     const Shape& shape);

/// @throws FormatError  unless "scale" and "zero_point" of that shape are parameters of `dtype`
void check_qparams_buffers(std::string_view type, const NamedTensors& own, const Shape& shape, Dtype dtype);

/// @throws FormatError  for other names than these
void check_names(std::string_view type, const NamedTensors& own, std::initializer_list<std::string_view> names);

/// Lets the buffers of `module` show these tensors, which were checked.
void show_buffers(Module& module, const NamedTensors& own);

}  // namespace coppice::nn::quant
