#pragma once
// The masked tensor behind the functions of nn/masks/masked.h. Private to nn.

#include <memory>
#include <string>

#include "coppice/nn/derived.h"
#include "coppice/nn/masks/masked.h"

namespace coppice::nn {

/// mask * orig of the tensor `name` of the module that gets it.
[[nodiscard]] std::shared_ptr<Derived> derived_mask(std::string name, std::shared_ptr<const MaskOrigin> origin);

}  // namespace coppice::nn
