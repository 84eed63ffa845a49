#pragma once
/// Constructor arguments of modules, under PyTorch's argument names. The types are the engine's, where operations take
/// them too.

#include "coppice/engine/arguments.h"

namespace coppice::nn {

using coppice::Argument;
using coppice::Arguments;

}  // namespace coppice::nn
