#pragma once
/// Constructor arguments of modules, under PyTorch's argument names. The types are the engine's, where operations take
/// them too.

#include "coppice/engine/arguments.h"

namespace coppice::nn {

using coppice::Argument;
using coppice::Arguments;

/// Arguments that a module keeps in a member. A copy of the module, as clone() makes it, has tensors of its own; an
/// argument that is a single tensor can also be kept as a buffer that is not persistent.
class KeptArguments {
 public:
  explicit KeptArguments(Arguments arguments = {}) : arguments_(std::move(arguments)) {}
  KeptArguments(const KeptArguments& other) : arguments_(other.arguments_.clone()) {}
  KeptArguments(KeptArguments&&) noexcept = default;
  KeptArguments& operator=(KeptArguments other) noexcept {
    arguments_ = std::move(other.arguments_);
    return *this;
  }
  ~KeptArguments() = default;

  [[nodiscard]] const Arguments& operator*() const { return arguments_; }
  [[nodiscard]] const Arguments* operator->() const { return &arguments_; }

 private:
  Arguments arguments_;
};

}  // namespace coppice::nn
