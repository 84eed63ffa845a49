#pragma once
// Packed layers of a model, as commands list them.

#include "app.h"
#include "coppice/nn/module.h"

namespace coppice::cli {

/// How each stores its weight: {"module", "type", "format", "layout", "block": [rows, columns], "element", "bytes"}.
[[nodiscard]] Json packed_json(const nn::Module& model);
/// The same as a table.
[[nodiscard]] Table packed_table(const nn::Module& model);

}  // namespace coppice::cli
