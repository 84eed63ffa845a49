#include "io/module_json.h"

#include <algorithm>
#include <array>
#include <set>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/engine/nearest.h"
#include "coppice/nn/adopts_tensors.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/layers/conv.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/packed/conv.h"
#include "coppice/nn/packed/linear.h"
#include "coppice/nn/registry.h"
#include "coppice/nn/slots.h"
#include "io/unknown_module.h"
#include "parametrize_list.h"
#include "shown.h"

namespace coppice::nn {
namespace {

using json = nlohmann::ordered_json;

/// The type that pack() puts in the place of a module of this type; empty if there is none.
std::string_view packed_type(std::string_view type) {
  if (type == Linear::kType) return PackedLinear::kType;
  if (type == Conv2d::kType) return PackedConv2d::kType;
  return {};
}

struct Builder {
  const std::string& source;
  ArgumentReader& arguments_of;
  std::uint64_t most_axes;
  bool keep_unknown;
  mutable std::size_t modules = 0;                // listed so far
  mutable std::size_t tensors = 0;                // held by those that are built
  mutable std::set<const Module*> kept = {};      // of those that the program's classes made
  mutable std::vector<const Module*> roots = {};  // of what was made by one constructor, outermost first

  /// @param path  where the entry stands in the file
  /// @param name_bytes  length of the module's dotted path in the tree
  /// @param made  what a module of the program's made under that name itself: it is kept if it is what the entry says
  [[nodiscard]] ModulePtr build(const json& entry, const std::string& path, std::size_t name_bytes,
                                const ModulePtr& made = nullptr) const {
    std::string where = cat("[architecture] ", source, ": entry ", path.empty() ? "at the top" : path);
    if (!entry.is_object()) throw FormatError(cat(where, " must be an object"));
    if (!entry.contains("type") || !entry["type"].is_string())
      throw FormatError(cat(where, " needs a \"type\" that is a text"));
    const std::string type = entry["type"];
    where += cat(" (", shown(type), ")");
    Arguments arguments;
    for (const auto& [key, value] : entry.items()) {
      if (key == "args") {
        arguments = arguments_of.object(value, where);
      } else if (key != "type" && key != "name" && key != "modules" &&
                 !(arguments_of.in_model_file() && (key == "masked" || key == "parameters" || key == "frozen"))) {
        constexpr std::array<std::string_view, 4> kKeys{"type", "args", "name", "modules"};
        const std::string_view meant = nearest_name(key, kKeys);
        throw FormatError(cat(where, ": unknown key \"", shown(key), "\"",
                              meant.empty() ? std::string() : cat("; the nearest is \"", meant, "\"")));
      }
    }
    ModulePtr module;
    try {
      module = make(type, arguments, made);
    } catch (const LimitError& e) {  // sound sizes, but no memory for them
      throw LimitError(cat(where, ": ", e.what()));
    } catch (const Error& e) {
      throw FormatError(cat(where, ": ", e.what()));
    }
    check_axes(*module, where);
    if ((tensors += module->own_parameters().size() + module->own_buffers().size()) > kMostTensors)
      throw LimitError(cat(where, ": a tree with more than ", kMostTensors, " parameters and buffers"));
    if (entry.contains("modules")) {
      if (module != made) roots.push_back(module.get());
      add_children(entry["modules"], *module, path, where, name_bytes);
      if (module != made) roots.pop_back();
    }
    return module;
  }

  /// A new module, unless `made` is the same, plain, and stands nowhere else in what is built.
  [[nodiscard]] ModulePtr make(const std::string& type, const Arguments& arguments, const ModulePtr& made) const {
    if (keep_unknown && !is_registered(type)) return std::make_shared<UnknownModule>(type, arguments);
    if (made != nullptr && made->type_name() == type && !kept.contains(made.get()) && made->derived().empty() &&
        dynamic_cast<const AdoptsTensors*>(made.get()) == nullptr) {
      ModulePtr fresh;
      if (made->arguments() != arguments) {  // the entry may leave out what is the default
        fresh = make_module(type, arguments);
        if (made->arguments() != fresh->arguments()) return fresh;
      }
      kept.insert(made.get());
      return made;
    }
    return make_module(type, arguments);
  }

  /// Refuses to put another module in the place of one that the program's class made, if that went wrong unseen.
  void check_replacing(const ModulePtr& made, const Module& child, const std::string& name,
                       const Module& parent) const {
    // A file must not choose the type of what the program takes for its own, which may be a cast.
    if (made->type_name() != child.type_name() && !parent.has_handle(name) &&
        packed_type(made->type_name()) != child.type_name())
      throw KeyError(cat(quote(name), " is a ", made->type_name(), ", not a ", child.type_name(),
                         "; only where the class has an nn::Child may another type stand"));
    if (kept.contains(made.get()) || made.use_count() == 1) return;
    long places = 0;
    for (const auto& [path, module] : roots.back()->named_modules())
      for (const auto& [key, other] : module->children()) places += other == made ? 1 : 0;
    if (made.use_count() > places)
      throw KeyError(cat(quote(name), " cannot be replaced: ", parent.type_name(), " holds the ", made->type_name(),
                         " in a member as well, and would compute with it; it should be an nn::Child"));
  }

  /// Shapes in a description may be those of tensors that the file has not: no reader of tensors has seen them.
  void check_axes(const Module& module, const std::string& where) const {
    for (const auto* own : {&module.own_parameters(), &module.own_buffers()})
      for (const auto& [name, tensor] : *own)
        if (tensor.defined() && static_cast<std::uint64_t>(tensor.dim()) > most_axes)
          throw LimitError(cat(where, ": axes of ", quote(name), " must be at most ", most_axes, "; got ", tensor.dim(),
                               " (raise Limits::rank)"));
  }

  void add_children(const json& list, Module& module, const std::string& path, const std::string& where,
                    std::size_t name_bytes) const {
    if (!list.is_array()) throw FormatError(cat(where, ": \"modules\" must be a list"));
    if ((modules += list.size()) > kMostModules)
      throw LimitError(cat(where, ": a tree of more than ", kMostModules, " modules"));
    // A layer of ours with tensors of its own does not call children that a file adds: they would be dead weight.
    const bool parametrized =
        list.size() == 1 && list[0].is_object() && list[0].contains("name") && list[0]["name"] == parametrize::kChild;
    const bool may = flags_of(module.type_name()).takes_modules ||
                     (arguments_of.in_model_file() &&
                      (parametrized || dynamic_cast<const parametrize::ParametrizationList*>(&module)));
    if (!list.empty() && module.own_parameters().size() > 0 && !may)
      throw FormatError(cat(where, ": this type takes no modules"));
    const bool made_some = !module.children().empty();
    std::set<std::string> listed;
    std::vector<std::string> order;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string at = path + (path.empty() ? "" : ".") + cat("modules[", i, "]");
      std::string name = cat(i);
      if (list[i].is_object() && list[i].contains("name")) {
        if (!list[i]["name"].is_string()) throw FormatError(cat(where, ": \"name\" of ", at, " must be a text"));
        name = list[i]["name"];
      }
      const std::size_t dotted = name_bytes + (name_bytes == 0 ? 0 : 1) + name.size();
      if (name.size() > kLongestName || dotted > kLongestName)
        throw LimitError(cat(where, ": the name of ", at, " and its path must be at most ", kLongestName,
                             " bytes; got ", name.size(), " and ", dotted, " for ", quote(name)));
      if (!listed.insert(name).second) throw FormatError(cat(where, ": two modules are called ", quote(name)));
      const ModulePtr* made = module.children().find(name);
      ModulePtr child = build(list[i], at, dotted, made != nullptr ? *made : nullptr);
      try {
        if (made != nullptr && *made != child) check_replacing(*made, *child, name, module);
        module.add_module(name, std::move(child));
      } catch (const Error& e) {
        throw FormatError(cat(where, ": ", e.what()));
      }
      order.push_back(std::move(name));
    }
    if (made_some) put_in_order(module, order);
  }

  /// The listed children behind all others, in the order of the list: a class may go through its children.
  static void put_in_order(Module& module, const std::vector<std::string>& order) {
    const auto at = module.children().begin() + static_cast<std::ptrdiff_t>(module.children().size() - order.size());
    // No std::ranges::subrange: Clang 14 does not compile that of GCC 12's library.
    if (std::equal(order.begin(), order.end(), at, module.children().end(),
                   [](const std::string& name, const auto& entry) { return name == entry.first; }))
      return;
    for (const std::string& name : order) {
      ModulePtr child = module.child(name);
      module.slots().erase(name);
      module.add_module(name, std::move(child));
    }
  }
};

}  // namespace

std::string module_path(const std::string& path) { return path.empty() ? "the top module" : "module " + quote(path); }

json module_to_json(const Module& module, ArgumentWriter& arguments, const std::string& path) {
  const std::string where = cat("[save_model] ", module_path(path));
  json entry;
  entry["type"] = std::string(module.type_name());
  if (const Arguments own = module.arguments(); !own.empty()) entry["args"] = arguments.object(own, where);
  for (const auto& [name, derived] : module.derived()) {
    if (parametrize::is_parametrized(module, name)) continue;  // its list is a child
    if (!is_masked(module, name))
      throw NotSupported(
          cat("[model file] ", quote(name), " of ", module.type_name(), " is derived in a way no file holds"));
    json steps = json::array();
    if (const auto origin = mask_origin(module, name))
      for (const MaskStep& step : origin->steps()) {
        json one{{"type", step.type}};
        if (!step.arguments.empty()) one["args"] = arguments.object(step.arguments, where);
        steps.push_back(std::move(one));
      }
    entry["masked"][name] = std::move(steps);
  }
  for (const auto& [name, parameter] : module.own_parameters()) {
    if (!parameter.defined()) continue;
    entry["parameters"].push_back(name);  // pruning, and its removal, move them
    if (is_floating(parameter.dtype()) && !parameter.requires_grad()) entry["frozen"].push_back(name);
  }
  for (const auto& [name, child] : module.children()) {
    json part = module_to_json(*child, arguments, joined(path, name));
    part["name"] = name;
    entry["modules"].push_back(std::move(part));
  }
  return entry;
}

void each_entry(Module& module, const json& entry, const EntryVisitor& visit, const std::string& path) {
  visit(module, entry, path);
  if (!entry.contains("modules")) return;
  const json& list = entry["modules"];
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string name = list[i].contains("name") ? list[i]["name"].get<std::string>() : cat(i);
    each_entry(*module.child(name), list[i], visit, joined(path, name));
  }
}

void restore_parameters(Module& module, const json& entry, const std::string& source) {
  const auto names = [&](const char* key) {
    std::vector<std::string> out;
    if (!entry.contains(key)) return out;
    const auto fail = [&] {
      throw FormatError(cat("[load_model] ", source, ": \"", key, "\" of ", module.type_name(),
                            " must list names of its parameters, each once"));
    };
    if (!entry[key].is_array() || entry[key].size() > module.own_parameters().size()) fail();
    std::set<std::string_view> seen;  // of texts in `entry`
    for (const json& one : entry[key]) {
      if (!one.is_string()) fail();
      const auto& name = one.get_ref<const std::string&>();
      if (!module.own_parameters().contains(name) || !seen.insert(name).second) fail();
      out.push_back(name);
    }
    return out;
  };
  module.slots().order_parameters(names("parameters"));
  const std::vector<std::string> listed = names("frozen");
  const std::set<std::string_view> frozen(listed.begin(), listed.end());
  for (const auto& [name, parameter] : module.own_parameters())  // a class may freeze some itself
    if (Tensor own = parameter; own.defined() && is_floating(own.dtype())) own.requires_grad_(!frozen.contains(name));
}

std::vector<MaskStep> steps_from_json(const json& list, const std::string& source, ArgumentReader& arguments) {
  const std::string where = cat("[load_model] ", source, ": the steps of a mask");
  if (!list.is_array()) throw FormatError(cat(where, " must be a list"));
  std::vector<MaskStep> steps;
  for (const json& one : list) {
    if (!one.is_object() || !one.contains("type") || !one["type"].is_string())
      throw FormatError(cat(where, " need a \"type\" that is a text"));
    steps.push_back({one["type"], one.contains("args") ? arguments.object(one["args"], where) : Arguments()});
  }
  return steps;
}

ModulePtr module_from_json(const json& entry, const std::string& source, ArgumentReader& arguments,
                           const Limits& limits, bool keep_unknown) {
  try {
    return Builder{source, arguments, limits.rank, keep_unknown}.build(entry, "", 0);
  } catch (const FormatError& e) {  // types, names and keys are texts of a stranger
    throw FormatError(printable(e.what()));
  } catch (const LimitError& e) {
    throw LimitError(printable(e.what()));
  }
}

}  // namespace coppice::nn
