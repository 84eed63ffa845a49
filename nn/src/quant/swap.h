#pragma once
// Modules exchanged by a table. Private to the library.

#include "coppice/nn/quant/mappings.h"

namespace coppice::nn::quant {

/// Exchanges the modules below `root`, children first, that have a qconfig and whose type the table has. Fused modules
/// are exchanged as one.
/// @param keep_qconfig  whether the new modules have that of the old ones
void swap_below(Module& root, const SwapTable& table, bool keep_qconfig);

}  // namespace coppice::nn::quant
