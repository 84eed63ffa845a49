#include "coppice/nn/quant/whole_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/quantized.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/quant/fused.h"
#include "coppice/nn/quant/stubs.h"
#include "quant/tree.h"

namespace coppice::nn::quant {
namespace {

/// How many of the types from `at` on make a group that can be fused; 0 for none.
std::size_t group_at(const std::vector<std::pair<std::string, ModulePtr>>& all, std::size_t at) {
  const auto type = [&](std::size_t i) { return i < all.size() ? all[i].second->type_name() : std::string_view(); };
  const std::string_view first = type(at);
  const bool conv = first == "Conv1d" || first == "Conv2d";
  const std::string_view norm = first == "Conv2d" ? "BatchNorm2d" : "BatchNorm1d";
  if ((conv || first == "Linear") && type(at + 1) == norm) return conv && type(at + 2) == "ReLU" ? 3 : 2;
  return (conv || first == "Linear") && type(at + 1) == "ReLU" ? 2 : 0;
}

void find_groups(const Module& module, const std::string& path, std::vector<std::vector<std::string>>& out) {
  auto all = children_of(module);
  for (const auto& [name, child] : all) find_groups(*child, joined(path, name), out);
  if (module.type_name() != Sequential::kType) return;
  // What a group leaves behind is an Identity, which stands between a folded Linear and its ReLU.
  std::erase_if(all, [](const auto& entry) { return entry.second->type_name() == Identity::kType; });
  for (std::size_t i = 0; i < all.size();) {
    const std::size_t count = group_at(all, i);
    std::vector<std::string> names;
    for (std::size_t k = 0; k < count; ++k) names.push_back(joined(path, all[i + k].first));
    if (count > 0) out.push_back(std::move(names));
    i += std::max<std::size_t>(count, 1);
  }
}

/// Runs on integers as it is, or passes its input on.
bool takes_integers(std::string_view type) {
  static const std::set<std::string_view> kTypes{"ReLU", "MaxPool2d", "Flatten", "Identity", "Dropout"};
  return kTypes.contains(type);
}

/// Modules that are called: not observers, parametrizations, or parts of packed weights.
template <class Visit>
void each_called(const Module& module, const std::string& path, Visit visit) {
  if (dynamic_cast<const FusedModule*>(&module) != nullptr) return visit(path, module);
  bool any = false;
  for (const auto& [name, child] : children_of(module)) {
    if (name == "parametrizations" || name == kObserverChild || name == "_packed_params") continue;
    any = true;
    each_called(*child, joined(path, name), visit);
  }
  if (!any) visit(path, module);
}

std::int64_t bytes_of(const Module& module) {
  std::int64_t bytes = 0;
  for (const auto& [path, part] : module.named_modules())
    for (const auto* own : {&part->own_parameters(), &part->own_buffers()})
      for (const auto& [name, tensor] : *own)
        if (tensor.defined()) bytes += static_cast<std::int64_t>(tensor.nbytes());
  return bytes;
}

/// Outputs of modules by path, as floats, while the model runs once.
std::map<std::string, Tensor> outputs_of(Module& model, const Tensor& x, const std::set<std::string>& paths) {
  std::map<std::string, Tensor> out;
  std::vector<HookHandle> handles;
  for (const auto& [path, module] : model.named_modules())
    if (paths.contains(path))
      handles.push_back(module->register_forward_hook(
          [&out, at = path](const Module&, const TensorList&, const TensorList& y) -> std::optional<TensorList> {
            if (!y.empty()) out[at] = dequantize(y[0]).clone();
            return std::nullopt;
          }));
  try {
    (void)model(x);
  } catch (...) {
    for (HookHandle& h : handles) h.remove();
    throw;
  }
  for (HookHandle& h : handles) h.remove();
  return out;
}

double decibels(const Tensor& exact, const Tensor& rounded) {
  const Tensor wide = exact.to(Dtype::f64), error = wide - rounded.to(Dtype::f64);
  const double signal = sum(wide * wide).item(), noise = sum(error * error).item();
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return signal == 0 ? -std::numeric_limits<double>::infinity() : 10 * std::log10(signal / noise);
}

/// The layers of `converted` that took the place of others in `before`.
std::vector<QuantizedLayer> report(Module& before, Module& converted, const Tensor& sample) {
  std::vector<QuantizedLayer> layers;
  std::set<std::string> paths;
  each_called(converted, "", [&](const std::string& path, const Module& module) {
    const Module* was = before.find_module(path);
    const std::string_view type = module.type_name();
    if (was == nullptr || was->type_name() == type || type.ends_with("Quantize")) return;
    QuantizedLayer layer{.path = path, .type = std::string(type)};
    if (module.has("scale")) {
      layer.scale = module.tensor("scale").item();
      layer.zero_point = module.tensor("zero_point").item<std::int64_t>();
    }
    layer.bytes_before = bytes_of(*was);
    layer.bytes = bytes_of(module);
    paths.insert(path);
    layers.push_back(std::move(layer));
  });
  if (!sample.defined()) return layers;
  const auto exact = outputs_of(before, sample, paths), rounded = outputs_of(converted, sample, paths);
  for (QuantizedLayer& layer : layers)
    if (exact.contains(layer.path) && rounded.contains(layer.path))
      layer.signal_to_noise = decibels(exact.at(layer.path), rounded.at(layer.path));
  return layers;
}

/// The engine for what is converted while it lives.
class EngineScope {
 public:
  explicit EngineScope(QEngine engine) : before_(set_default_qengine(engine)) {}
  ~EngineScope() { (void)set_default_qengine(before_); }
  EngineScope(const EngineScope&) = delete;
  EngineScope& operator=(const EngineScope&) = delete;

 private:
  QEngine before_;
};

void check_samples(const Tensor& x, std::int64_t batch) {
  if (batch < 1) throw ValueError(cat("[quantize_model] batch must be at least 1; got ", batch));
  if (!x.defined() || x.dim() < 1 || x.numel() == 0)
    throw ValueError("[quantize_model] needs samples to see the range of activations");
}

}  // namespace

ModulePtr fuse_all(const ModulePtr& model, Mode mode) {
  if (model == nullptr) throw ValueError("[fuse_all] needs a model");
  ModulePtr root = mode == Mode::copy ? model->clone() : model;
  for (int round = 0; round < 2; ++round) {  // Linear, BN, ReLU takes two
    std::vector<std::vector<std::string>> groups;
    find_groups(*root, "", groups);
    if (groups.empty()) break;
    root = fuse_modules(root, groups, Mode::inplace);
  }
  return root;
}

std::vector<NamedModule> not_quantizable(const Module& model) {
  std::vector<NamedModule> out;
  each_called(model, "", [&](const std::string& path, const Module& module) {
    const std::string_view type = module.type_name();
    if (!takes_integers(type) && !has_quantized_form(type)) out.push_back({path, std::string(type)});
  });
  return out;
}

QuantizedModel quantize_model(const ModulePtr& model, const Tensor& x, std::int64_t batch, QEngine qengine) {
  check_samples(x, batch);
  if (model == nullptr) throw ValueError("[quantize_model] needs a model");
  const NoGrad guard;
  ModulePtr fused = model->clone();
  fused->eval();
  fused = fuse_all(fused, Mode::inplace);
  if (const auto left = not_quantizable(*fused); !left.empty())
    throw NotSupported(cat("[quantize_model] ", left[0].path.empty() ? "the model" : quote(left[0].path), " is a ",
                           left[0].type, ", which does not run on integers",
                           left.size() > 1 ? cat("; ", left.size() - 1, " more do not") : std::string(),
                           "; dynamic quantisation takes the Linear layers alone"));
  const EngineScope engine(qengine);
  const auto wrapper = std::make_shared<QuantWrapper>(fused);
  wrapper->eval();
  const ModulePtr before = wrapper->clone();
  wrapper->set_qconfig(get_default_qconfig(name_of(qengine)));
  for (const char* stub : {"quant", "dequant"}) wrapper->child(stub)->set_qconfig(std::nullopt);
  const ModulePtr prepared = prepare(wrapper);
  const Tensor floats = x.to(Dtype::f32);
  for (std::int64_t at = 0; at < floats.size(0); at += batch)
    (void)(*prepared)(narrow(floats, 0, at, std::min(batch, floats.size(0) - at)));
  const ModulePtr converted = convert(prepared);
  return {converted, report(*before, *converted, narrow(floats, 0, 0, std::min(batch, floats.size(0))))};
}

QuantizedModel quantize_model_dynamic(const ModulePtr& model, const Tensor& x, std::int64_t batch, QEngine qengine) {
  if (model == nullptr) throw ValueError("[quantize_model_dynamic] needs a model");
  if (x.defined()) check_samples(x, batch);
  const NoGrad guard;
  const EngineScope engine(qengine);
  ModulePtr before = model->clone();
  if (get_default_dynamic_quant_module_mappings().contains(before->type_name()))  // a root is not exchanged
    before = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{before});
  before->eval();
  const ModulePtr converted = quantize_dynamic(before);
  const Tensor sample = x.defined() ? narrow(x.to(Dtype::f32), 0, 0, std::min(batch, x.size(0))) : Tensor();
  QuantizedModel out{converted, report(*before, *converted, sample)};
  if (out.layers.empty()) throw NotSupported("[quantize_model_dynamic] the model has no Linear layer");
  return out;
}

}  // namespace coppice::nn::quant
