#include "coppice/nn/layers/container.h"

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"

namespace coppice::nn {
namespace {

const ModulePtr& nth(const Module& m, std::int64_t i) {
  const auto n = static_cast<std::int64_t>(m.children().size());
  const std::int64_t at = i < 0 ? i + n : i;
  if (at < 0 || at >= n) throw IndexError(cat("[", m.type_name(), "] child ", i, " of ", n));
  return (m.children().begin() + at)->second;
}

/// A child under a name that no child has yet: add_module alone would replace it.
void add_new(Module& m, const std::string& name, ModulePtr child) {
  if (m.children().contains(name)) throw KeyError(cat("[", m.type_name(), "] already has a child ", quote(name)));
  m.add_module(name, std::move(child));
}

[[noreturn]] void not_callable(const Module& m) {
  throw NotSupported(cat("[", m.type_name(), "] holds modules and is not called itself"));
}

}  // namespace

Sequential::Sequential(std::initializer_list<ModulePtr> modules) {
  for (const ModulePtr& m : modules) append(m);
}

Sequential::Sequential(std::initializer_list<std::pair<std::string, ModulePtr>> modules) {
  for (const auto& [name, m] : modules) add_new(*this, name, m);
}

Sequential& Sequential::append(ModulePtr module) {
  add_new(*this, cat(children().size()), std::move(module));
  return *this;
}

const ModulePtr& Sequential::at(std::int64_t i) const { return nth(*this, i); }

TensorList Sequential::forward(const TensorList& inputs) const {
  TensorList x = inputs;
  for (const auto& [name, child] : children()) x = (*child)(x);
  return x;
}

ModuleList::ModuleList(std::initializer_list<ModulePtr> modules) {
  for (const ModulePtr& m : modules) append(m);
}

ModuleList& ModuleList::append(ModulePtr module) {
  add_new(*this, cat(children().size()), std::move(module));
  return *this;
}

const ModulePtr& ModuleList::at(std::int64_t i) const { return nth(*this, i); }
TensorList ModuleList::forward(const TensorList&) const { not_callable(*this); }

ModuleDict::ModuleDict(std::initializer_list<std::pair<std::string, ModulePtr>> modules) {
  for (const auto& [name, m] : modules) add_new(*this, name, m);
}

TensorList ModuleDict::forward(const TensorList&) const { not_callable(*this); }

}  // namespace coppice::nn
