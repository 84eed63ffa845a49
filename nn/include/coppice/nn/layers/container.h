#pragma once

#include <initializer_list>

#include "coppice/nn/module.h"

namespace coppice::nn {

/// Calls its children in order, each with all outputs of the one before. Children are named "0", "1", … or as given.
class Sequential final : public Implements<Sequential, Module> {
 public:
  static constexpr std::string_view kType = "Sequential";
  Sequential() = default;
  explicit Sequential(const Arguments&) {}
  Sequential(std::initializer_list<ModulePtr> modules);
  Sequential(std::initializer_list<std::pair<std::string, ModulePtr>> modules);
  /// Appends under the number of children so far. Returns itself. @throws KeyError  if a child has that name
  Sequential& append(ModulePtr module);
  [[nodiscard]] std::size_t size() const { return children().size(); }
  /// Child number `i`; negative counts from the end. @throws IndexError
  [[nodiscard]] const ModulePtr& at(std::int64_t i) const;

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;
};

/// Children "0", "1", … for a module that calls them itself. @throws NotSupported  when called
class ModuleList final : public Implements<ModuleList, Module> {
 public:
  static constexpr std::string_view kType = "ModuleList";
  ModuleList() = default;
  explicit ModuleList(const Arguments&) {}
  ModuleList(std::initializer_list<ModulePtr> modules);
  ModuleList& append(ModulePtr module);
  [[nodiscard]] std::size_t size() const { return children().size(); }
  [[nodiscard]] const ModulePtr& at(std::int64_t i) const;

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;
};

/// Children by name in order of insertion, for a module that calls them itself. @throws NotSupported  when called
class ModuleDict final : public Implements<ModuleDict, Module> {
 public:
  static constexpr std::string_view kType = "ModuleDict";
  ModuleDict() = default;
  explicit ModuleDict(const Arguments&) {}
  ModuleDict(std::initializer_list<std::pair<std::string, ModulePtr>> modules);

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;
};

}  // namespace coppice::nn
