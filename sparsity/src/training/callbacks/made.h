#pragma once
// What callbacks make of their factories and find in a context. Private to sparsity.

#include "coppice/engine/error.h"
#include "coppice/sparsity/training/callback.h"

namespace coppice::sparsity {

/// @throws StateError  if the context has none
[[nodiscard]] inline nn::Module& model_of(const char* who, const TrainContext& context) {
  if (context.model == nullptr) throw StateError(cat("[", who, "] the context has no model"));
  return *context.model;
}

/// @throws ValueError  if the factory made nothing
template <class Factory, class... Args>
[[nodiscard]] auto made(const char* who, const char* what, const Factory& factory, Args&... args) {
  auto out = factory(args...);
  if (out == nullptr) throw ValueError(cat("[", who, "] the function that makes the ", what, " made none"));
  return out;
}

}  // namespace coppice::sparsity
