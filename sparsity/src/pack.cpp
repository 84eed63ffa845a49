#include "coppice/sparsity/pack.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

#include "coppice/engine/autograd.h"
#include "coppice/engine/cpu.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/random.h"
#include "coppice/nn/conv.h"
#include "coppice/nn/linear.h"
#include "coppice/nn/packed/conv.h"
#include "coppice/nn/packed/linear.h"
#include "coppice/nn/permanent.h"

namespace coppice::sparsity {
namespace {

/// A layer that can be packed, and the shape of its input for one sample.
struct Layer {
  std::string path;
  const nn::Module* module;
  Shape input;  // without the batch axis
};

bool can_pack(const nn::Module& m) {
  if (const auto* conv = dynamic_cast<const nn::Conv2d*>(&m))
    return conv->options().groups == 1 && m.tensor("weight").dtype() == Dtype::f32;
  return dynamic_cast<const nn::Linear*>(&m) != nullptr && m.tensor("weight").dtype() == Dtype::f32;
}

/// A sample of a size that makes sense when nothing is known: a vector, or an image of 64 positions.
Shape default_input(const nn::Module& m) {
  const Tensor w = m.tensor("weight");
  if (w.dim() == 2) return {w.size(1)};
  return {w.size(1), w.size(2) + 7, w.size(3) + 7};
}

Shape without_batch(const Shape& shape) {
  return Shape(shape.sizes().subspan(1));
}

std::vector<Layer> layers_of(nn::Module& model, const Tensor& example) {
  std::vector<Layer> out;
  for (const auto& [path, module] : model.named_modules())
    if (can_pack(*module)) out.push_back({path, module, default_input(*module)});
  if (!example.defined()) return out;
  std::vector<nn::HookHandle> handles;
  std::map<const nn::Module*, Shape> seen;
  for (const Layer& layer : out)
    handles.push_back(const_cast<nn::Module*>(layer.module)->register_forward_pre_hook(
        [&seen](const nn::Module& m, const TensorList& in) -> std::optional<TensorList> {
          if (!in.empty() && in[0].dim() > 1) seen[&m] = without_batch(in[0].shape());
          return std::nullopt;
        }));
  (void)model(example);
  for (nn::HookHandle& handle : handles) handle.remove();
  for (Layer& layer : out)
    if (const auto found = seen.find(layer.module); found != seen.end()) layer.input = found->second;
  return out;
}

nn::ModulePtr packed_layer(const nn::Module& m, PackedFormat format) {
  const Tensor weight = m.tensor("weight");
  const Tensor bias = m.find_tensor("bias");
  if (const auto* conv = dynamic_cast<const nn::Conv2d*>(&m))
    return nn::PackedConv2d::from_dense(weight, bias, conv->options(), format);
  return nn::PackedLinear::from_dense(weight, bias, format);
}

double microseconds(const nn::Module& m, const Tensor& x, int calls) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) (void)m(x);
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() / calls;
}

/// Median time of one call of each module, measured in turn so that a slow moment hits all of them.
std::vector<double> compare(const std::vector<const nn::Module*>& modules, const Tensor& x, int runs) {
  std::vector<std::vector<double>> times(modules.size());
  std::vector<int> calls;
  for (const nn::Module* m : modules) {
    (void)microseconds(*m, x, 1);
    calls.push_back(std::clamp(static_cast<int>(100 / (microseconds(*m, x, 1) + 0.01)), 1, 50));
  }
  for (int run = 0; run < runs; ++run)
    for (std::size_t i = 0; i < modules.size(); ++i) times[i].push_back(microseconds(*modules[i], x, calls[i]));
  std::vector<double> medians;
  for (auto& list : times) {
    std::ranges::nth_element(list, list.begin() + static_cast<std::ptrdiff_t>(list.size() / 2));
    medians.push_back(list[list.size() / 2]);
  }
  return medians;
}

Shape with_batch(std::int64_t n, const Shape& sample) {
  std::vector<std::int64_t> sizes(sample.begin(), sample.end());
  sizes.insert(sizes.begin(), n);
  return Shape(std::move(sizes));
}

std::string describe(const PackCandidate& c, std::int64_t dense_bytes) {
  char buffer[160];
  std::snprintf(buffer, sizeof buffer, "%s: %lld bytes (%.1f %% of dense)", std::string(name_of(c.format)).c_str(),
                static_cast<long long>(c.bytes),
                dense_bytes == 0 ? 100.0 : 100.0 * static_cast<double>(c.bytes) / static_cast<double>(dense_bytes));
  std::string text = buffer;
  if (c.microseconds_1 > 0) {
    std::snprintf(buffer, sizeof buffer, ", %.1f us at batch 1, %.1f us at batch 64", c.microseconds_1,
                  c.microseconds_64);
    text += buffer;
  }
  return text;
}

/// Time against dense: the mean over batch 1 and 64.
double time_share(const PackCandidate& c, const PackCandidate& dense) {
  return (c.microseconds_1 / dense.microseconds_1 + c.microseconds_64 / dense.microseconds_64) / 2;
}

double size_share(const PackCandidate& c, const PackCandidate& dense) {
  return static_cast<double>(c.bytes) / static_cast<double>(dense.bytes);
}

void choose(PackDecision& d, const PackOptions& options) {
  const PackCandidate& dense = d.candidates.front();
  const auto cost = [&](const PackCandidate& c) {
    return size_share(c, dense) + (options.measure ? 2 * time_share(c, dense) : 0);
  };
  const PackCandidate* best = nullptr;
  const PackCandidate* smallest = nullptr;
  for (const PackCandidate& c : d.candidates) {
    if (c.format == PackedFormat::dense || c.bytes >= dense.bytes) continue;
    if (smallest == nullptr || c.bytes < smallest->bytes) smallest = &c;
    if (options.measure && time_share(c, dense) > options.slowest) continue;
    if (best == nullptr || cost(c) < cost(*best)) best = &c;
  }
  if (best != nullptr) {
    d.chosen = best->format;
    d.reason = describe(*best, dense.bytes) + "; " + describe(dense, dense.bytes);
  } else if (smallest == nullptr) {
    d.reason = "dense: no packed format is smaller";
  } else {
    d.reason = "dense: every smaller format is slower, such as " + describe(*smallest, dense.bytes);
  }
}

PackDecision decide(const Layer& layer, const PackOptions& options) {
  const Tensor weight = layer.module->tensor("weight");
  PackDecision d;
  d.path = layer.path;
  d.type = std::string(layer.module->type_name());
  d.elements = weight.numel();
  d.nonzeros = count_nonzero(weight);
  d.candidates.push_back({PackedFormat::dense, static_cast<std::int64_t>(weight.nbytes()), 0, 0});
  std::vector<nn::ModulePtr> modules;
  std::vector<const nn::Module*> racers{layer.module};
  const Tensor matrix = weight.dim() == 2 ? weight.detach() : weight.detach().reshape({weight.size(0), -1});
  for (const PackedFormat format : all_packed_formats()) {
    if (format == PackedFormat::dense) continue;
    const auto bytes = static_cast<std::int64_t>(PackedMatrix::pack(matrix, format).nbytes());
    d.candidates.push_back({format, bytes, 0, 0});
    modules.push_back(packed_layer(*layer.module, format));
    racers.push_back(modules.back().get());
  }
  if (options.measure && weight.numel() > 0) {
    Generator generator(0);
    const std::vector<double> one = compare(racers, rand(with_batch(1, layer.input), Dtype::f32, &generator), options.runs);
    const std::vector<double> many =
        compare(racers, rand(with_batch(64, layer.input), Dtype::f32, &generator), options.runs);
    for (std::size_t i = 0; i < d.candidates.size(); ++i) {
      d.candidates[i].microseconds_1 = one[i];
      d.candidates[i].microseconds_64 = many[i];
    }
  }
  choose(d, options);
  return d;
}

/// Puts `replacement` wherever `old` stands: a shared module has several parents.
void replace(nn::Module& root, const nn::Module* old, const nn::ModulePtr& replacement) {
  for (const auto& [path, parent] : root.named_modules()) {
    std::vector<std::string> names;
    for (const auto& [name, child] : parent->children())
      if (child.get() == old) names.push_back(name);
    for (const std::string& name : names) parent->add_module(name, replacement);
  }
}

}  // namespace

Packed pack(const nn::Module& model, const PackOptions& options, const Tensor& example) {
  NoGrad guard;
  const FlushSubnormals flush;
  Packed out{model.clone(), {}};
  out.model->eval();
  nn::make_permanent(*out.model);
  for (const Layer& layer : layers_of(*out.model, example)) {
    const nn::ModulePtr alive = const_cast<nn::Module*>(layer.module)->shared_from_this();
    out.decisions.push_back(decide(layer, options));
    const PackDecision& d = out.decisions.back();
    if (d.chosen == PackedFormat::dense) continue;
    nn::ModulePtr replacement = packed_layer(*layer.module, d.chosen);
    replacement->eval();
    if (layer.path.empty()) out.model = replacement;
    else replace(*out.model, layer.module, replacement);
  }
  return out;
}

std::string decisions_to_json(const std::vector<PackDecision>& decisions) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const PackDecision& d : decisions) {
    nlohmann::ordered_json candidates = nlohmann::ordered_json::array();
    for (const PackCandidate& c : d.candidates)
      candidates.push_back({{"format", std::string(name_of(c.format))}, {"bytes", c.bytes},
                            {"us_batch_1", c.microseconds_1}, {"us_batch_64", c.microseconds_64}});
    list.push_back({{"module", d.path}, {"type", d.type}, {"elements", d.elements}, {"nonzeros", d.nonzeros},
                    {"chosen", std::string(name_of(d.chosen))}, {"reason", d.reason}, {"candidates", candidates}});
  }
  return list.dump();
}

}  // namespace coppice::sparsity
