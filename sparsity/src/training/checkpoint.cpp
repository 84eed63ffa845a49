#include "checkpoint.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "coppice/engine/error.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn/state_dict.h"

namespace coppice::sparsity {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kKey = "coppice.finetune";
constexpr std::int64_t kFormat = 1;
constexpr std::int64_t kColumns = 7;  // of "report"

/// Multiplies and mixes eight bytes at a time; finds accidents and mix-ups, not forgers.
class Fingerprint {
 public:
  void add(std::span<const std::byte> bytes) {
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
      std::uint64_t word;
      std::memcpy(&word, bytes.data() + i, 8);
      mix(word);
    }
    std::uint64_t rest = 0;
    std::memcpy(&rest, bytes.data() + i, bytes.size() - i);
    mix(rest);
    mix(bytes.size());
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  void add(const Tensor& t) {
    add(cat(t.dtype(), t.shape()));
    add(std::span(t.bytes(), t.nbytes()));
  }
  void add(const NamedTensors& tensors) {
    for (const auto& [name, tensor] : tensors) {
      add(name);
      add(tensor);
    }
  }
  [[nodiscard]] std::string text() const { return cat(state_); }

 private:
  void mix(std::uint64_t word) {
    state_ = (state_ ^ word) * 0x9E3779B97F4A7C15u;
    state_ ^= state_ >> 32;
  }
  std::uint64_t state_ = 0xCBF29CE484222325u;
};

template <class T>
std::string fingerprint(const T& what) {
  Fingerprint f;
  f.add(what);
  return f.text();
}

const char* name_of(FinetuneOptions::Optimizer optimizer) {
  using O = FinetuneOptions::Optimizer;
  return optimizer == O::sgd ? "sgd" : optimizer == O::adamw ? "adamw" : "adam";
}

void add_all(NamedTensors& out, const std::string& prefix, const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) out.add(prefix + name, tensor);
}

NamedTensors part(const NamedTensors& all, const std::string& prefix) {
  NamedTensors out;
  for (const auto& [name, tensor] : all)
    if (name.starts_with(prefix)) out.add(name.substr(prefix.size()), tensor);
  return out;
}

Tensor words(const Generator& g) {
  const Generator::State state = g.state();
  return Tensor::from(std::vector<std::int64_t>(state.begin(), state.end()), {static_cast<std::int64_t>(state.size())});
}

void set_words(Generator& g, const Tensor& t) {
  std::vector<std::uint32_t> state;
  for (const std::int64_t word : t.to_vector<std::int64_t>()) state.push_back(static_cast<std::uint32_t>(word));
  g.set_state(state);
}

/// Rows of [epoch, train loss, sparsity, correct, count, loss, best], as float64 so that nothing is rounded.
Tensor table(const FinetuneReport& report) {
  std::vector<double> values;
  for (const EpochReport& r : report.epochs)
    for (const double v : {static_cast<double>(r.epoch), r.train_loss, r.sparsity, static_cast<double>(r.validation.correct),
                           static_cast<double>(r.validation.count), r.validation.loss, r.best ? 1.0 : 0.0})
      values.push_back(v);
  return Tensor::from(values, {static_cast<std::int64_t>(report.epochs.size()), kColumns});
}

FinetuneReport report_from(const Tensor& t) {
  FinetuneReport report;
  for (std::int64_t i = 0; i < t.size(0); ++i) {
    const double correct = t.at({i, 3}), count = t.at({i, 4});
    if (t.at({i, 0}) != static_cast<double>(i + 1) || !(correct >= 0 && correct <= count && count < 1e15))
      throw ValueError(cat("row ", i, " of the report is no epoch"));
    EpochReport r;
    r.epoch = static_cast<std::int64_t>(t.at({i, 0}));
    r.train_loss = t.at({i, 1});
    r.sparsity = t.at({i, 2});
    r.validation = {static_cast<std::int64_t>(correct), static_cast<std::int64_t>(count), t.at({i, 5})};
    r.best = t.at({i, 6}) != 0;
    if (r.best) report.best_epoch = r.epoch;
    report.epochs.push_back(r);
  }
  return report;
}

/// The first setting in which two recipes differ, in words.
std::string difference(const Json& theirs, const Json& ours) {
  for (const auto& [key, value] : ours.items())
    if (!theirs.contains(key) || theirs[key] != value)
      return cat(key, " was ", theirs.contains(key) ? theirs[key].dump() : std::string("not there"), " and is ", value.dump());
  return "";
}

}  // namespace

std::string recipe_of(const nn::Module& model, const Dataset& data, const FinetuneOptions& o) {
  Json recipe;
  recipe["model"] = fingerprint(nn::all_tensors(model));
  recipe["data"] = fingerprint(data.x) + fingerprint(data.y);
  recipe["epochs"] = o.epochs;
  recipe["batch"] = o.batch;
  recipe["lr"] = o.lr;
  recipe["optimizer"] = name_of(o.optimizer);
  recipe["momentum"] = o.momentum;
  recipe["weight_decay"] = o.weight_decay;
  recipe["seed"] = o.seed;
  recipe["validation"] = o.validation;
  recipe["patience"] = o.patience;
  recipe["sparsity"] = o.sparsity ? Json(*o.sparsity) : Json(nullptr);
  recipe["ramp"] = o.ramp;
  recipe["updates_per_epoch"] = o.updates_per_epoch;
  return recipe.dump();
}

void save_checkpoint(const std::filesystem::path& path, const std::string& recipe, TrainingRun& run) {
  NamedTensors all;
  add_all(all, "model.", nn::all_tensors(run.model()));
  if (run.state().best) add_all(all, "best.", *run.state().best);
  add_all(all, "optimizer.", run.optimizer().state_dict());
  all.add("random.order", words(run.generator()));
  all.add("random.default", words(default_generator()));
  all.add("report", table(run.state().report));
  all.add("step", Tensor::from(std::vector<std::int64_t>{run.state().step}, {}));
  const Json document{{"format", kFormat}, {"checksum", fingerprint(all)}, {"recipe", Json::parse(recipe)}};
  all.metadata()[kKey] = document.dump();
  write_safetensors(path, all);
}

void resume_checkpoint(const std::filesystem::path& path, const std::string& recipe, std::int64_t epochs,
                       TrainingRun& run) {
  const auto fail = [&](const std::string& what) { throw FormatError(cat("[finetune] checkpoint ", path.string(), what)); };
  // Read, not mapped: the same path is written again after the next epoch.
  NamedTensors all = read_safetensors(path, {.map = false});
  const auto found = all.metadata().find(kKey);
  if (found == all.metadata().end()) fail(cat(" is no checkpoint: metadata '", kKey, "' is missing"));
  const auto flat = [&](int depth, Json::parse_event_t, Json&) { return depth <= 3 || (fail(": metadata too deep"), false); };
  const Json document = Json::parse(found->second, flat, false);
  if (!document.is_object() || !document.contains("format") || !document["format"].is_number_integer())
    fail(cat(": metadata '", kKey, "' needs a \"format\""));
  if (document["format"] != kFormat)
    fail(cat(" has format version ", document["format"].dump(), "; this library reads ", kFormat));
  if (!document.contains("recipe") || !document["recipe"].is_object() || !document.contains("checksum"))
    fail(cat(": metadata '", kKey, "' is not complete"));
  if (const std::string sum = fingerprint(all); document["checksum"] != sum)
    fail(cat(": the checksum of its tensors is ", sum, ", not ", document["checksum"].dump(), "; the file is damaged"));
  if (const std::string d = difference(document["recipe"], Json::parse(recipe)); !d.empty())
    fail(cat(" belongs to another run: ", d));

  try {
    TrainingRun::State state;
    state.step = all.at("step").item<std::int64_t>();
    const Tensor& rows = all.at("report");
    if (rows.dtype() != Dtype::f64 || rows.dim() != 2 || rows.size(1) != kColumns || rows.size(0) < 1 ||
        rows.size(0) > epochs)
      fail(cat(": the report of ", rows.shape(), " does not fit ", epochs, " epochs"));
    state.report = report_from(rows);
    if (state.report.best_epoch > 0) {
      state.best = part(all, "best.");
      const NamedTensors own = nn::all_tensors(run.model());
      for (const auto& [name, tensor] : own)
        if (const Tensor* t = state.best->find(name); t == nullptr || t->shape() != tensor.shape())
          fail(cat(": the best epoch has no '", name, "' of shape ", tensor.shape()));
    }
    Generator order;
    set_words(order, all.at("random.order"));
    Generator other;
    set_words(other, all.at("random.default"));
    run.optimizer().load_state_dict(part(all, "optimizer."));
    nn::load_state_dict(run.model(), part(all, "model."));
    run.resume(std::move(state), order);
    default_generator() = other;
  } catch (const FormatError&) {
    throw;
  } catch (const Error& e) {
    fail(cat(": ", e.what()));
  }
}

}  // namespace coppice::sparsity
