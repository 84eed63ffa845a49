#include "io/save_check.h"

#include <limits>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/nn/adopts_tensors.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/init.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"
#include "coppice/nn/quant/fake_quantize.h"
#include "coppice/nn/registry.h"
#include "io/masked_values.h"
#include "io/module_json.h"
#include "io/parametrized.h"
#include "io/strict_json.h"
#include "io/unknown_module.h"
#include "parametrize_list.h"

namespace coppice::nn {
namespace {

using json = nlohmann::ordered_json;
using parametrize::kChild, parametrize::ParametrizationList;

std::string tensor_path(const std::string& path, std::string_view name) { return quote(joined(path, name)); }

/// A tensor that the registered type has not, or not of this shape, cannot be read back: where would it go?
void check_slots(const Module& module, const Module& fresh, const std::string& path) {
  const auto check = [&](const std::string& name, const Tensor& tensor) {
    const auto of_mask = name_of_mask(name);
    for (const auto& base_name : {std::optional<std::string_view>(name), name_of_original(name), of_mask}) {
      if (!base_name) continue;
      const std::string base(*base_name);
      const bool is_mask = base_name == of_mask;  // which may be of any type
      const Tensor slot = fresh.find_tensor(base);
      if (slot.defined() && slot.shape() != tensor.shape())
        throw NotSupported(cat("[save_model] ", tensor_path(path, name), " has shape ", tensor.shape(), " where a new ",
                               module.type_name(), " has ", slot.shape(), ", so nobody could load the file"));
      if (slot.defined() && !is_mask && is_floating(slot.dtype()) != is_floating(tensor.dtype()))
        throw NotSupported(cat("[save_model] ", tensor_path(path, name), " holds ", tensor.dtype(), " where a new ",
                               module.type_name(), " has ", slot.dtype(), ", so nobody could load the file"));
      // Of a mask of a mask, weight_orig_orig, the base is masked itself.
      if (fresh.has(base) || (base != name && module.derived().contains(base))) return;
    }
    throw NotSupported(cat("[save_model] ", tensor_path(path, name), ": a new ", module.type_name(),
                           " has no such tensor, so nobody could load the file"));
  };
  for (const auto& [name, tensor] : module.own_parameters())
    if (tensor.defined()) check(name, tensor);
  for (const auto& [name, tensor] : module.own_buffers())
    if (tensor.defined() && module.is_persistent(name)) check(name, tensor);
  const auto expect = [&](const std::string& name, const Tensor& slot, const Tensor* own) {
    if (slot.defined() && (own == nullptr || !own->defined()) && !module.derived().contains(name))
      throw NotSupported(cat("[save_model] ", tensor_path(path, name), ": a new ", module.type_name(),
                             " has such a tensor, and the model has none that a file could bring for it"));
  };
  for (const auto& [name, slot] : fresh.own_parameters()) expect(name, slot, module.own_parameters().find(name));
  for (const auto& [name, slot] : fresh.own_buffers())
    if (fresh.is_persistent(name))
      expect(name, slot, module.is_persistent(name) ? module.own_buffers().find(name) : nullptr);
}

/// Masks and parametrizations are put back onto the tensors of a fresh module.
void check_derived(const Module& module, const Module& fresh, const std::string& path) {
  for (const auto& [name, derived] : module.derived()) {
    if (is_masked(module, name) && masks_on(module, name) >= kMostMasks)
      throw ValueError(cat("[save_model] ", tensor_path(path, name), " may have at most ", kMostMasks,
                           " masks one upon the other; got more"));
    if (!parametrize::is_parametrized(module, name)) continue;
    std::string_view base = name;
    base.remove_suffix(5 * masks_on(module, name));
    const Tensor slot = fresh.find_tensor(base);
    const std::string why =
        slot.defined() ? misfit(parametrize::parametrizations_of(module, name), slot.shape(), slot.dtype(), false)
                       : cat("a new ", module.type_name(), " has no such tensor");
    if (!why.empty())
      throw NotSupported(cat("[save_model] nobody could load the parametrized ", tensor_path(path, name), ": ", why));
  }
}

/// Children that a file adds to a layer with tensors of its own would not be called.
void check_children(const Module& module, const Module& fresh, const std::string& path) {
  const auto& children = module.children();
  const bool parametrized = children.size() == 1 && children.contains(kChild);
  if (!children.empty() && !parametrized && fresh.own_parameters().size() > 0 &&
      !flags_of(module.type_name()).takes_modules && dynamic_cast<const ParametrizationList*>(&module) == nullptr)
    throw NotSupported(
        cat("[save_model] ", module_path(path), ": a ", module.type_name(), " in a file takes no modules"));
}

/// A file would bring the observer back, but neither its hook nor the qconfig.
void check_unobserved(const Module& module, const std::string& path) {
  const ModulePtr* observer = module.children().find("activation_post_process");
  if (observer != nullptr && dynamic_cast<const quant::ObserverBase*>(observer->get()) != nullptr &&
      dynamic_cast<const quant::FakeQuantize*>(&module) == nullptr)
    throw NotSupported(cat("[save_model] ", module_path(path), " is observed for quantisation, which a file does not ",
                           "keep: convert() it first, or save its state_dict()"));
}

/// What a module that checks its tensors as a whole would say to its own.
void check_whole(const Module& module, const AdoptsTensors& whole, const std::string& path) {
  NamedTensors own;
  for (const auto& [name, tensor] : module.own_parameters())
    if (tensor.defined()) own.add(name, tensor);
  for (const auto& [name, tensor] : module.own_buffers())
    if (tensor.defined() && module.is_persistent(name)) own.add(name, tensor);
  try {
    whole.check_adoptable(own);
  } catch (const Error& e) {
    throw NotSupported(cat("[save_model] nobody could load ", module_path(path), ": ", e.what()));
  }
}

/// Compares a model with the modules that a reader would build, where classes of the program make children themselves.
void check_made_children(const Module& model, const json& description, const NamedTensors& members) {
  Limits most;
  most.nesting = most.objects = most.rank = std::numeric_limits<std::uint64_t>::max();
  ModulePtr built;
  try {
    ArgumentReader arguments(members, kModelFormat);
    built = module_from_json(description, "the description of the modules", arguments, most, true);
  } catch (const Error& e) {
    throw NotSupported(cat("[save_model] nobody could load the file: ", e.what()));
  }
  each_entry(const_cast<Module&>(model), description, [&](Module& module, const json&, const std::string& path) {
    const Module& back = *built->find_module(path);
    if (dynamic_cast<const AdoptsTensors*>(&module) != nullptr || is_unknown(module)) return;
    if (dynamic_cast<const ParametrizationList*>(&module) == nullptr) check_slots(module, back, path);
    check_derived(module, back, path);
    for (const auto& [name, child] : back.children())
      if (!module.children().contains(name))
        throw NotSupported(cat("[save_model] ", module_path(path), ": a new ", module.type_name(), " makes a child ",
                               quote(name), ", and the model has none, so nobody could load the file"));
  });
}

}  // namespace

void check_savable(const Module& model, const json& description, const NamedTensors& members) {
  std::size_t modules = 0, tensors = 0;
  bool made_children = false;  // by a constructor of the program's
  const SkipInit no_random_numbers;
  each_entry(const_cast<Module&>(model), description, [&](Module& module, const json&, const std::string& path) {
    if (modules++ > kMostModules)  // the top one is not listed
      throw ValueError(cat("[save_model] a file holds at most ", kMostModules, " modules; got more"));
    if (path.size() > kLongestName)
      throw ValueError(cat("[save_model] the path of a module must be at most ", kLongestName, " bytes; got ",
                           path.size(), " for ", quote(path)));
    check_unobserved(module, path);
    if (const auto* whole = dynamic_cast<const AdoptsTensors*>(&module)) return check_whole(module, *whole, path);
    if (is_unknown(module)) return;  // who knows the type knows what it has
    const ModulePtr fresh = make_module(module.type_name(), module.arguments());
    made_children = made_children || !fresh->children().empty();
    if (!made_children) {
      if (dynamic_cast<const ParametrizationList*>(&module) == nullptr) check_slots(module, *fresh, path);
      check_derived(module, *fresh, path);
    }
    check_children(module, *fresh, path);
    if ((tensors += fresh->own_parameters().size() + fresh->own_buffers().size()) > kMostTensors)
      throw ValueError(cat("[save_model] a file holds at most ", kMostTensors, " parameters and buffers; got more"));
  });
  if (made_children) check_made_children(model, description, members);
}

std::string readable_text(const json& document) {
  std::string text;
  try {
    text = document.dump();
  } catch (const json::type_error& e) {
    throw ValueError(cat("[save_model] names and texts must be UTF-8: ", quote(e.what())));
  }
  Limits most;  // what the caller of a reader may ask for
  most.nesting = most.objects = std::numeric_limits<std::uint64_t>::max();
  try {
    (void)parse_strict(text, "the description of the modules", most);
  } catch (const Error& e) {
    throw ValueError(cat("[save_model] nobody could load the file: ", e.what()));
  }
  return text;
}

}  // namespace coppice::nn
