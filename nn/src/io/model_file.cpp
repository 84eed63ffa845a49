#include "coppice/nn/io/model_file.h"

#include <map>
#include <set>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/engine/io/budget.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/version.h"
#include "coppice/nn/adopts_tensors.h"
#include "coppice/nn/bits.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/init.h"
#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/masks/names.h"
#include "coppice/nn/registry.h"
#include "coppice/nn/state_dict.h"
#include "io/masked_values.h"
#include "io/module_json.h"
#include "io/parametrized.h"
#include "io/save_check.h"
#include "io/strict_json.h"
#include "io/unknown_module.h"

namespace coppice::nn {
namespace {

using json = nlohmann::ordered_json;

/// Does `work` with what a file holds; what that breaks becomes a FormatError that begins with `where`.
template <class F>
auto naming(const std::string& where, F work) {
  try {
    return work();
  } catch (const LimitError&) {  // of the caller, or of memory
    throw;
  } catch (const IoError&) {
    throw;
  } catch (const Error& e) {
    throw FormatError(cat(where, ": ", e.what()));
  }
}

/// Attaches the masks that an entry of the tree names; the tensors of the file fill them.
/// @param path  of the module
/// @param left  number of entries that the file could still hold the bits of: sizes in the tree may lie
void attach_masks(Module& module, const json& entry, const std::string& path, const std::string& source,
                  ArgumentReader& arguments, std::uint64_t& left) {
  if (!entry.contains("masked")) return;
  if (!entry["masked"].is_object())
    throw FormatError(cat("[load_model] ", source, ": \"masked\" must map names to steps"));
  for (const auto& [listed, steps] : entry["masked"].items()) {
    const std::string& key = listed;  // Clang 14 cannot capture a structured binding
    const Tensor* own = module.own_parameters().find(key);
    if (own == nullptr || !own->defined())
      throw FormatError(
          cat("[load_model] ", source, ": ", module.type_name(), " has no parameter ", quote(key), " to mask"));
    const std::string tensor = quote(joined(path, key));
    if (masks_on(module, key) >= kMostMasks)
      throw LimitError(cat("[load_model] ", source, ": ", tensor, ": a tensor may have at most ", kMostMasks,
                           " masks one upon the other; got more"));
    const auto entries = static_cast<std::uint64_t>(own->numel());
    if (entries > left)
      throw FormatError(cat("[load_model] ", source, ": the file is too small for a mask of shape ", own->shape()));
    left -= entries;
    auto history = std::make_shared<MaskHistory>(steps_from_json(steps, source, arguments));
    naming(cat("[load_model] ", source, ": the mask of ", tensor),
           [&] { set_mask(module, key, Tensor::empty(own->shape(), own->dtype()), std::move(history)); });
  }
}

/// Whether a reader knows the type of this mask without being told: that of its original.
bool has_plain_type(const Module& module, const std::string& mask) {
  if (dynamic_cast<const FakeSparsity*>(&module) != nullptr) return true;  // it tells
  const auto name = name_of_mask(mask);
  const Tensor* own = name ? module.own_parameters().find(original_of(*name)) : nullptr;
  return module.own_buffers().find(mask)->dtype() == (own != nullptr ? own->dtype() : Dtype::f32);
}

bool is_mask_of_module(const Module& module, const std::string& name) {
  if (name == "mask" && dynamic_cast<const FakeSparsity*>(&module) != nullptr) return true;
  const auto masked = name_of_mask(name);
  return masked && is_masked(module, *masked);
}

/// Tensors grouped by the path of the module that owns them.
using ByOwner = std::map<std::string, NamedTensors>;

/// @param others  names of tensors that are no module's
ByOwner group(const NamedTensors& all, const std::set<std::string, std::less<>>& others) {
  ByOwner out;
  for (const auto& [name, tensor] : all) {
    if (others.contains(name)) continue;
    const std::size_t dot = name.rfind('.');
    if (dot == std::string::npos)
      out[""].add(name, tensor);
    else
      out[name.substr(0, dot)].add(name.substr(dot + 1), tensor);
  }
  return out;
}

/// Gives a module whose type nobody knows the tensors that the file has for it; those that the entry lists as
/// parameters are some.
void take_tensors(Module& module, const json& entry, const NamedTensors& own) {
  std::set<std::string_view> parameters;
  if (entry.contains("parameters") && entry["parameters"].is_array())
    for (const json& name : entry["parameters"])
      if (name.is_string()) parameters.insert(name.get_ref<const std::string&>());
  for (const auto& [name, tensor] : own)
    if (parameters.contains(name))
      module.register_parameter(name, tensor.detach());
    else
      module.register_buffer(name, tensor.detach());
}

/// Lets `own` show what the file holds, if it may.
void show(Tensor own, const std::string& name, const Tensor& given, LoadReport& report) {
  if (given.shape() != own.shape() || is_floating(given.dtype()) != is_floating(own.dtype()) ||
      ((given.is_quantized() || own.is_quantized()) && given.dtype() != own.dtype()))
    report.mismatched.push_back({name, given.shape(), own.shape()});
  else
    own.replace_(given);
}

/// The type of a mask that is stored as bits: that of its original in the file.
Dtype mask_type(const NamedTensors& own, const std::string& mask, Dtype otherwise) {
  const auto name = name_of_mask(mask);
  const Tensor* original = name ? own.find(original_of(*name)) : nullptr;
  return original != nullptr && is_floating(original->dtype()) ? original->dtype() : otherwise;
}

/// Takes the tensors of `module` and all below out of `tensors`.
void fill(Module& module, const std::string& path, ByOwner& tensors, const std::string& source, MemoryBudget& budget,
          LoadReport& report) {
  auto node = tensors.extract(path);
  const NamedTensors own = node.empty() ? NamedTensors() : std::move(node.mapped());
  const std::string prefix = path.empty() ? "" : path + ".";
  if (auto* adopts = dynamic_cast<AdoptsTensors*>(&module)) {
    naming(cat("[load_model] ", source, ": ", path.empty() ? "the top module" : "module " + quote(path)),
           [&] { adopts->adopt(own); });
  } else {
    std::set<std::string> unfilled;  // masks whose numbers are whatever the memory held
    const auto take = [&](const std::string& name, const Tensor& slot) {
      const Tensor* given = own.find(name);
      if (given == nullptr) {
        if (is_mask_of_module(module, name)) unfilled.insert(name);
        return report.missing.push_back(prefix + name);
      }
      if (is_mask_of_module(module, name)) {
        if (given->is_quantized()) {
          unfilled.insert(name);
          return report.mismatched.push_back({prefix + name, given->shape(), slot.shape()});
        }
        // One entry has the shape of its own bits, and their value.
        const bool bits = given->dtype() == Dtype::u8 && (given->shape() != slot.shape() || slot.numel() == 1);
        const Dtype type = mask_type(own, name, slot.dtype());
        if (bits)
          budget.take(static_cast<std::uint64_t>(slot.numel()) * itemsize(type), cat("mask ", quote(prefix + name)));
        const Tensor read = naming(cat("[load_model] ", source, ": ", quote(prefix + name)),
                                   [&] { return bits ? unpack_bits(*given, slot.shape(), type) : *given; });
        if (read.shape() != slot.shape()) {
          unfilled.insert(name);
          return report.mismatched.push_back({prefix + name, given->shape(), slot.shape()});
        }
        Tensor mask = slot;
        mask.replace_(read);
      } else {
        const auto masked = name_of_original(name);
        const bool readable = !masked || !unfilled.contains(mask_of(*masked));
        show(slot, prefix + name, readable ? with_masked_zeros(module, name, *given, budget) : *given, report);
      }
    };
    const auto take_buffers = [&](bool masks) {
      for (const auto& [name, slot] : module.own_buffers())
        if (slot.defined() && module.is_persistent(name) && is_mask_of_module(module, name) == masks) take(name, slot);
    };
    take_buffers(true);  // first: they say where the values of originals belong
    for (const auto& [name, slot] : module.own_parameters())
      if (slot.defined()) take(name, slot);
    take_buffers(false);
    for (const auto& [name, tensor] : own)
      if (!module.own_parameters().contains(name) && !module.own_buffers().contains(name))
        report.unexpected.push_back(prefix + name);
  }
  for (const auto& [name, child] : module.children()) fill(*child, prefix + name, tensors, source, budget, report);
}

}  // namespace

NamedTensors model_to_tensors(const Module& model, const std::map<std::string, std::string>& notes,
                              const SaveOptions& options) {
  for (const auto& [where, module] : model.named_modules())
    if (!is_registered(module->type_name()) && !is_unknown(*module))
      throw KeyError(cat("[save_model] type ", quote(module->type_name()), " at ", quote(where),
                         " is not registered: nobody could load the file"));
  json document;
  ArgumentWriter arguments;
  json description = module_to_json(model, arguments);
  check_savable(model, description, arguments.members());
  document["format"] = arguments.format();
  document["producer"] = cat("coppice ", kVersion);
  document["model"] = std::move(description);
  const std::string text = readable_text(document);
  NamedTensors tensors;
  for (const auto& [name, tensor] : all_tensors(model)) {
    const std::size_t dot = name.rfind('.');
    const std::string owner = dot == std::string::npos ? "" : name.substr(0, dot);
    const Module* module = const_cast<Module&>(model).find_module(owner);
    const std::string own = dot == std::string::npos ? name : name.substr(dot + 1);
    if (is_mask_of_module(*module, own) && is_binary(tensor) && has_plain_type(*module, own))
      tensors.add(name, pack_bits(tensor));
    else if (!options.masked_values && can_drop_masked(*module, own))
      tensors.add(name, kept_values(*module, own));
    else
      tensors.add(name, tensor);
  }
  tensors.add_all("", arguments.members());
  tensors.metadata() = {notes.begin(), notes.end()};
  tensors.metadata()[kModelKey] = text;
  return tensors;
}

void save_model(const Module& model, const std::filesystem::path& path, const std::map<std::string, std::string>& notes,
                const SaveOptions& options) {
  write_safetensors(path, model_to_tensors(model, notes, options), {.checksums = true});
}

bool is_model(const NamedTensors& tensors) { return tensors.metadata().contains(kModelKey); }

namespace {

/// The description of a model file, of a version that is read. @throws FormatError, LimitError
JsonDocument description_in(const NamedTensors& tensors, const std::string& source, const Limits& limits) {
  if (!is_model(tensors))
    throw FormatError(cat("[load_model] ", source, " holds tensors but no model: metadata '", kModelKey,
                          "' is missing. Use import with an architecture"));
  JsonDocument parsed =
      parse_strict(tensors.metadata().at(kModelKey), cat(source, ", metadata '", kModelKey, "'"), limits);
  const json& document = *parsed;
  if (!document.is_object() || !document.contains("format") || !document["format"].is_number_integer() ||
      !document.contains("model"))
    throw FormatError(cat("[load_model] ", source, ": metadata '", kModelKey, "' needs \"format\" and \"model\""));
  const std::int64_t format = document["format"];
  if (format < 1 || format > kModelFormat)
    throw FormatError(
        cat("[load_model] ", source, ": format version ", format, "; this library reads 1..", kModelFormat));
  return parsed;
}

/// Adds the types of `entry` and all below that nobody registered. Nesting is bounded, so recursion is safe.
void add_unknown_types(const json& entry, std::vector<std::string>& out, std::set<std::string>& seen) {
  if (!entry.is_object()) return;
  if (entry.contains("type") && entry["type"].is_string()) {
    const std::string& type = entry["type"].get_ref<const std::string&>();
    if (!is_registered(type) && seen.insert(type).second) out.push_back(type);
  }
  if (!entry.contains("modules") || !entry["modules"].is_array()) return;
  for (const json& child : entry["modules"]) add_unknown_types(child, out, seen);
}

}  // namespace

std::vector<std::string> unknown_types(const NamedTensors& tensors, const Limits& limits) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  try {
    if (is_model(tensors)) add_unknown_types((*description_in(tensors, "", limits))["model"], out, seen);
  } catch (const FormatError&) {  // model_from_tensors() says what is wrong
  } catch (const LimitError&) {
  }
  return out;
}

ModulePtr model_from_tensors(const NamedTensors& tensors, const std::string& file, const Limits& limits,
                             UnknownTypes unknown) {
  const std::string source = quote_path(file);
  const JsonDocument parsed = description_in(tensors, source, limits);
  const json& document = *parsed;
  const std::int64_t format = document["format"];
  const SkipInit no_random_numbers;
  ArgumentReader arguments(tensors, format);
  ModulePtr model = module_from_json(document["model"], source, arguments, limits, unknown == UnknownTypes::keep);
  std::uint64_t left = 8 * tensors.nbytes() + 8;
  each_entry(*model, document["model"], [&](Module& m, const json& entry, const std::string& path) {
    attach_masks(m, entry, path, source, arguments, left);
  });
  const auto attached = attach_parametrizations(*model, source);
  LoadReport report;
  ByOwner owners = group(tensors, arguments.used());
  each_entry(*model, document["model"], [&](Module& m, const json& entry, const std::string& path) {
    const auto own = owners.find(path);
    if (is_unknown(m) && own != owners.end())
      naming(cat("[load_model] ", source, ": ", module_path(path)), [&] { take_tensors(m, entry, own->second); });
  });
  MemoryBudget budget(Source{"load_model", file}, limits, tensors.nbytes());
  fill(*model, "", owners, source, budget, report);
  for (const auto& [path, left] : owners)  // tensors of modules that are not there
    for (const auto& [name, tensor] : left) report.unexpected.push_back(path + "." + name);
  if (!report.empty())
    throw FormatError(
        printable(cat("[load_model] ", source, ": the tensors do not fit the modules\n", to_string(report))));
  check_parametrizations(attached, source);
  each_entry(*model, document["model"],
             [&](Module& m, const json& entry, const std::string&) { restore_parameters(m, entry, source); });
  model->eval();
  return model;
}

ModulePtr load_model(const std::filesystem::path& path, const ReadOptions& options) {
  return model_from_tensors(read_safetensors(path, options), path.string(), options.limits);
}

}  // namespace coppice::nn
