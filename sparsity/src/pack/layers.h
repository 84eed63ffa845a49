#pragma once
// Which layers have a packed form: a row per type. Private to sparsity.

#include <optional>
#include <string_view>

#include "coppice/engine/sparse/packed_matrix.h"
#include "coppice/nn/module.h"

namespace coppice::sparsity {

/// A type of layer that pack() can replace.
struct PackableLayer {
  std::string_view type;
  /// Whether this one has a packed form, beyond what holds for all: see packable().
  bool (*takes)(const nn::Module&);
  /// A sample, without its batch axis, of a size that makes sense when nothing is known; nothing beyond 2^40 values.
  std::optional<Shape> (*default_input)(const nn::Module&);
  nn::ModulePtr (*pack)(const nn::Module&, PackedFormat);
};

/// The row of a module's type if the module has a packed form: float32 throughout, no module of a program's own hung
/// into it, which would be lost, and whatever the row asks. Null otherwise.
[[nodiscard]] const PackableLayer* packable(const nn::Module& module);

/// Why a layer that has prunable weights has no packed form; empty if it has one, is packed, or has no such weights.
[[nodiscard]] std::string unpackable_because(const nn::Module& module);

}  // namespace coppice::sparsity
