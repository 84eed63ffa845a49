#pragma once
/// The engine's map from names to values, which slots and children of modules stand in.

#include "coppice/engine/ordered_map.h"

namespace coppice::nn {

using coppice::OrderedMap;

}  // namespace coppice::nn
