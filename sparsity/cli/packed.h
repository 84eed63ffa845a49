#pragma once
// Packed layers of a model, as commands list them.

#include <string>
#include <utility>
#include <vector>

#include "app.h"
#include "coppice/nn/packed/packed_layer.h"

namespace coppice::cli {

/// With their paths, in the order of the modules.
[[nodiscard]] std::vector<std::pair<std::string, const nn::PackedLayer*>> packed_layers(const nn::Module& model);

/// How each stores its weight: {"module", "type", "format", "layout", "block": [rows, columns], "element", "bytes"}.
[[nodiscard]] Json packed_json(const nn::Module& model);
/// The same as a table.
[[nodiscard]] Table packed_table(const nn::Module& model);

}  // namespace coppice::cli
