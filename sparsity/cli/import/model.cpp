#include "import/model.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "coppice/engine/autograd.h"
#include "coppice/engine/random.h"
#include "coppice/nn/init.h"
#include "coppice/nn/io/architecture.h"
#include "coppice/nn/masks/families.h"
#include "coppice/nn/masks/names.h"
#include "coppice/nn/state_dict.h"
#include "dtypes.h"
#include "tensors.h"

namespace coppice::cli {
namespace {

/// With originals of parametrizations that stand alone under the names of what they are originals of.
NamedTensors plain_names(NamedTensors tensors, std::vector<std::string>& changed) {
  std::map<std::string, std::string> names;
  for (const nn::NamedOriginal& o : nn::originals_alone(tensors))
    if (!tensors.contains(o.name)) names.emplace(o.original, o.name);
  if (names.empty()) return tensors;
  NamedTensors out;
  out.skipped() = tensors.skipped();
  for (const auto& [name, tensor] : tensors) {
    const auto found = names.find(name);
    out.add(found == names.end() ? name : found->second, tensor);
    if (found != names.end()) changed.push_back(found->second);
  }
  return out;
}

/// Every floating tensor of a fresh model as `dtype`.
void take_type(const nn::Module& model, Dtype dtype) {
  const NoGrad guard;
  for (const auto& [path, module] : model.named_modules())
    for (const auto* own : {&module->own_parameters(), &module->own_buffers()})
      for (const auto& [name, tensor] : *own) {
        if (!tensor.defined() || !is_floating(tensor.dtype()) || tensor.dtype() == dtype) continue;
        Tensor changed = tensor;
        changed.replace_(tensor.detach().to(dtype));
      }
}

/// Groups of names that are one tensor, in order.
std::vector<std::vector<std::string>> ties_in(const NamedTensors& tensors) {
  std::map<std::tuple<const std::byte*, Dtype, std::vector<std::int64_t>>, std::vector<std::string>> names;
  for (const auto& [name, tensor] : tensors)
    if (tensor.numel() > 0)
      names[{tensor.bytes(), tensor.dtype(), {tensor.shape().begin(), tensor.shape().end()}}].push_back(name);
  std::vector<std::vector<std::string>> out;
  for (auto& [place, group] : names)
    if (group.size() > 1) out.push_back(std::move(group));
  std::ranges::sort(out);
  return out;
}

/// The names of both sides, as the rules want them. @throws nn::LoadError
nn::LoadReport loaded(nn::Module& model, const NamedTensors& tensors, const ImportRules& rules) {
  if (rules.strict && !rules.seed) return nn::load_state_dict(model, tensors);
  nn::LoadReport report = nn::load_state_dict(model, tensors, false);
  if (rules.strict && !report.unexpected.empty())
    throw nn::LoadError(cat("[load_state_dict] the tensors do not fit ", model.type_name()), std::move(report));
  return report;
}

}  // namespace

Imported import_model(const App& app, const std::string& weights, const std::string& arch, const ImportRules& rules) {
  app.files = {weights, arch};
  Imported out;
  const NamedTensors tensors = plain_names(nn::renamed(load_checkpoint(app, weights), rules.names), out.prepared);
  out.tensors = tensors.size();
  out.untied = ties_in(tensors);
  out.left_out = tensors.skipped();
  if (rules.strict && !rules.seed) {
    const nn::SkipInit no_random_numbers;
    out.model = nn::read_architecture(arch, app.read.limits);
  } else {
    manual_seed(rules.seed.value_or(0));
    out.model = nn::read_architecture(arch, app.read.limits);
  }
  if (rules.dtype) take_type(*out.model, *rules.dtype);
  out.model_type = rules.dtype.value_or(Dtype::f32);
  out.masked = nn::attach_masks_of(*out.model, tensors);
  nn::LoadReport report = loaded(*out.model, tensors, rules);
  out.drawn = std::move(report.missing);
  out.tensors -= report.unexpected.size();
  out.left_out.insert(out.left_out.end(), report.unexpected.begin(), report.unexpected.end());
  for (const auto& [name, own] : nn::all_tensors(*out.model)) {
    const Tensor* given = tensors.find(name);
    if (given == nullptr || !is_floating(given->dtype()) || given->dtype() == own.dtype()) continue;
    if (!rules.dtype) out.converted.push_back(name);
    if (const std::int64_t lost = became_infinite(*given, own); lost > 0) out.overflowed.emplace_back(name, lost);
  }
  return out;
}

std::vector<nn::FittingNames> other_names(const App& app, const std::string& weights, const std::string& arch,
                                          const ImportRules& rules) {
  const nn::SkipInit no_random_numbers;
  const nn::ModulePtr model = nn::read_architecture(arch, app.read.limits);
  NamedTensors tensors = load_checkpoint(app, weights);
  std::vector<std::string> ignore;
  try {
    const nn::Renaming left{.ignore = rules.names.ignore};
    tensors = nn::renamed(tensors, left);
    ignore = left.ignore;
  } catch (const KeyError&) {  // they meet names as the other rules made them
  }
  std::vector<nn::FittingNames> out = nn::fitting_names(*model, tensors);
  for (nn::FittingNames& names : out)
    names.rules.ignore.insert(names.rules.ignore.begin(), ignore.begin(), ignore.end());
  return out;
}

}  // namespace coppice::cli
