#pragma once
// A stand-in for a module of a type that nobody registered. Private to nn.

#include <string>

#include "coppice/nn/module.h"

namespace coppice::nn {

/// Has the type's name, its arguments and children, and its tensors as a file brings them; it cannot be called. Saved,
/// it is what it stands for.
class UnknownModule final : public Module {
 public:
  UnknownModule(std::string type, Arguments arguments) : type_(std::move(type)), arguments_(std::move(arguments)) {}

  [[nodiscard]] std::string_view type_name() const override { return type_; }
  [[nodiscard]] Arguments arguments() const override { return arguments_; }

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;
  [[nodiscard]] ModulePtr shallow_copy() const override { return std::make_shared<UnknownModule>(*this); }

 private:
  std::string type_;
  Arguments arguments_;
};

[[nodiscard]] inline bool is_unknown(const Module& module) {
  return dynamic_cast<const UnknownModule*>(&module) != nullptr;
}

}  // namespace coppice::nn
