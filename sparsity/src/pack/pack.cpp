#include "coppice/sparsity/pack/pack.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "coppice/engine/autograd.h"
#include "coppice/engine/cpu.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/packed/packed_layer.h"
#include "coppice/nn/parametrize.h"
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

/// What a file takes for a weight that stays as it is in `kept`: a masked one has its values and a bit per entry.
std::int64_t stored_bytes(const nn::Module& kept, const PackDecision& d) {
  const std::int64_t dense = d.candidates.front().bytes;
  const bool masked = nn::is_masked(kept, "weight") || nn::parametrize::is_parametrized(kept, "weight");
  return masked ? std::min(dense, d.nonzeros * static_cast<std::int64_t>(sizeof(float)) + (d.elements + 7) / 8) : dense;
}

/// @param stored  bytes that a packed form must fall below
void choose(PackDecision& d, const PackOptions& options, bool timed, std::int64_t stored) {
  const PackCandidate& dense = d.candidates.front();
  const auto cost = [&](const PackCandidate& c) {
    return size_share(c, dense) + (timed ? 2 * time_share(c, dense) : 0);
  };
  bool below_dense = false;
  const PackCandidate* best = nullptr;
  const PackCandidate* smallest = nullptr;
  for (const PackCandidate& c : d.candidates) {
    if (c.format.is_dense() || c.bytes >= dense.bytes) continue;
    below_dense = true;
    if (c.bytes >= stored) continue;
    if (smallest == nullptr || c.bytes < smallest->bytes) smallest = &c;
    if (timed && time_share(c, dense) > options.slowest) continue;
    if (best == nullptr || cost(c) < cost(*best)) best = &c;
  }
  if (best != nullptr) {
    d.chosen = best->format;
    d.reason = describe(*best, dense.bytes) + "; " + describe(dense, dense.bytes);
  } else if (smallest == nullptr && below_dense) {
    d.stays_masked = true;
    d.reason = cat("stays masked: ", stored, " bytes in a file, less than in any packed format");
  } else if (smallest == nullptr) {
    d.reason = "dense: no packed format is smaller";
  } else {
    d.reason = "dense: every smaller format is slower, such as " + describe(*smallest, dense.bytes);
  }
  if (options.measure && !timed && smallest != nullptr) d.reason += "; not timed: one input takes more than 256 MiB";
}

/// @param kept  the layer as it is where it is not packed
PackDecision decide(const Layer& layer, const nn::Module& kept, const PackOptions& options) {
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
  choose(d, options, timed, options.masks_compete ? stored_bytes(kept, d) : d.candidates.front().bytes);
  return d;
}

}  // namespace

Packed pack(const nn::Module& model, const PackOptions& options, const Tensor& example) {
  NoGrad guard;
  const FlushSubnormals flush;
  Packed out{model.clone(), {}};
  out.model->eval();
  // Layers are packed as they compute, but what is not packed keeps its masks.
  const nn::ModulePtr plain = model.clone();
  plain->eval();
  nn::make_permanent(*plain);
  nn::Replacements packed;
  for (const Layer& layer : layers_of(*plain, example)) {
    const nn::Module* kept = nn::fqn_to_module(*out.model, layer.path);
    out.decisions.push_back(decide(layer, *kept, options));
    const PackDecision& d = out.decisions.back();
    if (d.chosen.is_dense()) continue;
    packed.emplace(kept, layer.row->pack(*layer.module, d.chosen));
  }
  for (const auto& [path, module] : plain->named_modules())
    if (std::string why = unpackable_because(*module); !why.empty())
      out.not_packed.push_back({path, std::string(module->type_name()), std::move(why)});
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
