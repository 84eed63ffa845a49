#include "coppice/sparsity/pack/pack.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "coppice/engine/autograd.h"
#include "coppice/engine/cpu.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/packed/packed_layer.h"
#include "coppice/nn/permanent.h"
#include "coppice/nn/replace.h"
#include "layers.h"
#include "timing.h"

namespace coppice::sparsity {
namespace {

/// A layer that can be packed, and the shape of its input for one sample.
struct Layer {
  std::string path;
  const nn::Module* module;
  const PackableLayer* row;
  std::optional<Shape> input;  // without the batch axis; none where it would hold 2^40 values
};

Shape without_batch(const Shape& shape) { return Shape(shape.sizes().subspan(1)); }

std::vector<Layer> layers_of(nn::Module& model, const Tensor& example) {
  std::vector<Layer> out;
  for (const auto& [path, module] : model.named_modules())
    if (const PackableLayer* row = packable(*module)) out.push_back({path, module, row, row->default_input(*module)});
  if (!example.defined()) return out;
  std::vector<nn::HookHandle> handles;
  std::map<const nn::Module*, Shape> seen;
  for (const Layer& layer : out)
    handles.push_back(const_cast<nn::Module*>(layer.module)
                          ->register_forward_pre_hook(
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

std::string describe(const PackCandidate& c, std::int64_t dense_bytes) {
  char buffer[160];
  std::snprintf(buffer, sizeof buffer, "%s: %lld bytes (%.1f %% of dense)", to_string(c.format).c_str(),
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

void choose(PackDecision& d, const PackOptions& options, bool timed) {
  const PackCandidate& dense = d.candidates.front();
  const auto cost = [&](const PackCandidate& c) {
    return size_share(c, dense) + (timed ? 2 * time_share(c, dense) : 0);
  };
  const PackCandidate* best = nullptr;
  const PackCandidate* smallest = nullptr;
  for (const PackCandidate& c : d.candidates) {
    if (c.format.is_dense() || c.bytes >= dense.bytes) continue;
    if (smallest == nullptr || c.bytes < smallest->bytes) smallest = &c;
    if (timed && time_share(c, dense) > options.slowest) continue;
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
  if (options.measure && !timed && smallest != nullptr) d.reason += "; not timed: one input takes more than 256 MiB";
}

PackDecision decide(const Layer& layer, const PackOptions& options) {
  const Tensor weight = layer.module->tensor("weight");
  PackDecision d;
  d.path = layer.path;
  d.type = std::string(layer.module->type_name());
  d.elements = weight.numel();
  d.nonzeros = count_nonzero(weight);
  d.candidates.push_back({PackedFormat(), static_cast<std::int64_t>(weight.nbytes()), 0, 0});
  bool timed = false;
  // The index of a format has an entry for each row, of which there may be billions without values.
  if (d.elements > 0) {
    std::vector<nn::ModulePtr> modules;
    std::vector<const nn::Module*> racers{layer.module};
    for (const PackedFormat format : packing_formats()) {
      const nn::ModulePtr packed = layer.row->pack(*layer.module, format);
      const auto bytes = dynamic_cast<const nn::PackedLayer&>(*packed).weight().nbytes();
      d.candidates.push_back({format, static_cast<std::int64_t>(bytes), 0, 0});
      if (!options.measure) continue;
      modules.push_back(packed);
      racers.push_back(packed.get());
    }
    std::optional<std::vector<CallTimes>> times;
    if (options.measure && layer.input) times = time_calls(*layer.module, racers, *layer.input, options.runs);
    if (times) {
      timed = true;
      for (std::size_t i = 0; i < d.candidates.size(); ++i) {
        d.candidates[i].microseconds_1 = (*times)[i].one;
        d.candidates[i].microseconds_64 = (*times)[i].many;
      }
    }
  }
  choose(d, options, timed);
  return d;
}

}  // namespace

Packed pack(const nn::Module& model, const PackOptions& options, const Tensor& example) {
  NoGrad guard;
  const FlushSubnormals flush;
  Packed out{model.clone(), {}};
  out.model->eval();
  nn::make_permanent(*out.model);
  nn::Replacements packed;
  for (const Layer& layer : layers_of(*out.model, example)) {
    out.decisions.push_back(decide(layer, options));
    const PackDecision& d = out.decisions.back();
    if (d.chosen.is_dense()) continue;
    packed.emplace(layer.module, layer.row->pack(*layer.module, d.chosen));
  }
  out.model = nn::replace_modules(out.model, packed);
  return out;
}

std::string decisions_to_json(const std::vector<PackDecision>& decisions) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const PackDecision& d : decisions) {
    nlohmann::ordered_json candidates = nlohmann::ordered_json::array();
    for (const PackCandidate& c : d.candidates)
      candidates.push_back({{"format", to_string(c.format)},
                            {"bytes", c.bytes},
                            {"us_batch_1", c.microseconds_1},
                            {"us_batch_64", c.microseconds_64}});
    list.push_back({{"module", d.path},
                    {"type", d.type},
                    {"elements", d.elements},
                    {"nonzeros", d.nonzeros},
                    {"chosen", to_string(d.chosen)},
                    {"reason", d.reason},
                    {"candidates", candidates}});
  }
  return list.dump();
}

}  // namespace coppice::sparsity
