#include "io/parametrized.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/registry.h"
#include "coppice/nn/slots.h"
#include "parametrize_list.h"

namespace coppice::nn {

using parametrize::kChild, parametrize::ParametrizationList, parametrize::parametrizations_of;

namespace {

/// The first type in `list` that may not stand there in a file; empty if there is none.
std::string not_for_files(const ParametrizationList& list) {
  for (const auto& [index, p] : list.children())
    if (index != kChild && !flags_of(p->type_name()).parametrizes) return std::string(p->type_name());
  return {};
}

void attach_below(Module& module, const std::string& path, const std::string& source, std::vector<Attached>& out) {
  const ModulePtr* all = module.children().find(kChild);
  if (all != nullptr && dynamic_cast<ModuleDict*>(all->get()) != nullptr) {
    for (const auto& [name, child] : (*all)->children()) {
      const auto* list = dynamic_cast<const ParametrizationList*>(child.get());
      if (list == nullptr) continue;
      const auto& slots = list->is_buffer() ? module.own_buffers() : module.own_parameters();
      const Tensor* slot = slots.find(name);
      if (slot == nullptr || !slot->defined() || list->size() == 0)
        throw FormatError(cat("[load_model] ", source, ": ", module.type_name(), " has no tensor ", quote(name),
                              " to parametrize, or nothing to parametrize it with"));
      if (const std::string type = not_for_files(*list); !type.empty())
        throw FormatError(cat("[load_model] ", source, ": ", type, " as a parametrization of ", quote(name),
                              ": its type is none of those that may parametrize in a file"));
      out.push_back({&module, joined(path, name), name, slot->shape(), slot->dtype()});
      module.slots().derive(name, parametrize::parametrized(name));
    }
  }
  for (const auto& [name, child] : module.children()) attach_below(*child, joined(path, name), source, out);
}

}  // namespace

std::vector<Attached> attach_parametrizations(Module& root, const std::string& source) {
  std::vector<Attached> out;
  attach_below(root, "", source, out);
  return out;
}

std::string misfit(const ParametrizationList& list, const Shape& shape, Dtype dtype, bool compute) {
  if (const std::string type = not_for_files(list); !type.empty())
    return cat(type, " is none of the types that may parametrize in a file");
  bool known = list.is_tensor();
  for (const auto& [index, p] : list.children())
    known = known && (index == kChild || flags_of(p->type_name()).keeps_shape);
  if (!known && (list.unsafe() || !compute)) return {};
  NoGrad guard;
  const Tensor made = known ? list.originals().at(0) : list.value();
  for (const auto& [index, p] : list.children())
    if (const auto* sparse = dynamic_cast<const FakeSparsity*>(p.get());
        known && sparse != nullptr && sparse->mask().shape() != made.shape())
      return cat("mask ", sparse->mask().shape(), " for a tensor of shape ", made.shape());
  if (made.shape() != shape) return cat("it has shape ", made.shape(), " where the module needs ", shape);
  if (is_floating(made.dtype()) != is_floating(dtype))
    return cat("it is ", made.dtype(), " where the module needs ", dtype);
  return {};
}

void check_parametrizations(const std::vector<Attached>& all, const std::string& source) {
  for (const Attached& a : all) {
    std::string why;
    try {
      why = misfit(parametrizations_of(*a.module, a.name), a.shape, a.dtype, true);
    } catch (const LimitError&) {
      throw;
    } catch (const Error& e) {
      why = e.what();
    }
    if (!why.empty())
      throw FormatError(cat("[load_model] ", source, ": ", quote(a.path), " cannot be computed: ", why));
  }
}

}  // namespace coppice::nn
