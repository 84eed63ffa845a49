#include "checkpoint.h"

#include <cstring>
#include <map>
#include <type_traits>
#include <variant>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn/state_dict.h"
#include "flat_json.h"

namespace coppice::sparsity {
namespace {

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

std::string text_of(const nn::Argument& value) {
  return std::visit(
      []<class T>(const T& v) {
        if constexpr (std::is_same_v<T, std::monostate>) {
          return std::string();
        } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
          std::string out;
          for (const std::int64_t n : v) out += cat(n, ',');
          return out;
        } else {
          return cat(v);
        }
      },
      value);
}

/// What the tensors do not show: types, settings and names of the modules, which tensors are one, which are frozen.
std::string fingerprint_of_modules(const nn::Module& model) {
  Fingerprint f;
  const auto count = [&](std::size_t n) { f.add(cat(n)); };  // so that no list passes for the next one
  for (const auto& [path, module] : model.named_modules()) {
    f.add(path);
    f.add(module->type_name());
    const nn::Arguments arguments = module->arguments();
    for (const auto& [name, value] : arguments) {
      f.add(name);
      count(value.index());
      f.add(text_of(value));
    }
    count(module->derived().size());
    for (const auto& [name, derived] : module->derived()) f.add(name);
    count(module->children().size());
    for (const auto& [name, child] : module->children()) f.add(name);
  }
  for (const auto& [name, parameter] : model.named_parameters()) {  // each tensor once, under its first name
    f.add(name);
    count(parameter.requires_grad() ? 1 : 0);
  }
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
std::string difference(const std::map<std::string, std::string>& theirs,
                       const std::map<std::string, std::string>& ours) {
  for (const auto& [key, value] : ours) {
    const auto twin = theirs.find("recipe." + key);
    if (twin == theirs.end()) return cat(key, " was not there and is ", value);
    if (twin->second != value) return cat(key, " was ", twin->second, " and is ", value);
  }
  for (const auto& [key, value] : theirs)  // settings that are written only where they are not the usual ones
    if (key.starts_with("recipe.") && !ours.contains(key.substr(7)))
      return cat(quote(key.substr(7)), " was ", value, " and is not there");
  return "";
}

/// The tensors of the best epoch, which fit the model: found now, not when the run is over.
NamedTensors best_of(const NamedTensors& all, const nn::Module& model, const Source& source) {
  NamedTensors best = part(all, "best.");
  const NamedTensors own = nn::all_tensors(model);
  for (const auto& [name, tensor] : own)
    if (const Tensor* t = best.find(name); t == nullptr || t->shape() != tensor.shape() || t->dtype() != tensor.dtype())
      source.reject("the best epoch has no ", quote(name), " of ", tensor.dtype(), " and shape ", tensor.shape());
  if (best.size() != own.size())
    source.reject("the best epoch holds ", best.size(), " tensors, the model ", own.size());
  return best;
}

}  // namespace

std::string recipe_of(const nn::Module& model, const Dataset& data, const FinetuneOptions& o) {
  return cat("{\"model\":", json_word(fingerprint(nn::all_tensors(model))),
             ",\"modules\":", json_word(fingerprint_of_modules(model)),
             ",\"data\":", json_word(fingerprint(data.x) + fingerprint(data.y)), ",\"epochs\":", json_number(o.epochs),
             ",\"batch\":", json_number(o.batch), ",\"lr\":", json_number(o.lr),
             ",\"optimizer\":", json_word(name_of(o.optimizer)), ",\"momentum\":", json_number(o.momentum),
             ",\"weight_decay\":", json_number(o.weight_decay), ",\"seed\":", json_number(o.seed),
             ",\"validation\":", json_number(o.validation), ",\"patience\":", json_number(o.patience),
             ",\"sparsity\":", o.sparsity ? json_number(*o.sparsity) : "null", ",\"ramp\":", json_number(o.ramp),
             ",\"updates_per_epoch\":", json_number(o.updates_per_epoch),
             o.ties == TieRule::pytorch ? ",\"ties\":\"pytorch\"" : "", "}");
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
  all.metadata()[kKey] = cat("{\"format\":", kFormat, ",\"recipe\":", recipe, "}");
  write_safetensors(path, all, {.checksums = true});
}

void resume_checkpoint(const std::filesystem::path& path, const std::string& recipe, std::int64_t epochs,
                       ReadOptions options, TrainingRun& run) {
  const Source source{"finetune", path.string()};
  // Read, not mapped: the same path is written again after the next epoch.
  options.map = false;
  const NamedTensors all = read_safetensors(path, options);
  const auto found = all.metadata().find(kKey);
  const std::string place = cat("metadata ", quote(kKey));
  if (found == all.metadata().end()) source.reject("the file is no checkpoint of fine-tuning: it has no ", place);
  const std::map<std::string, std::string> document = read_flat_json(found->second, place, source);
  const auto member = [&](const char* name) {
    const auto at = document.find(name);
    return at == document.end() ? std::string("not there") : at->second;
  };
  if (const std::string format = member("format"); format != cat(kFormat))
    source.reject(place, ": format version 1 is read; \"format\" is ", quote(format));
  if (member("recipe") != "{}")
    source.reject(place, " must have an object \"recipe\"; it is ", quote(member("recipe")));
  if (const std::string d = difference(document, read_flat_json(recipe, "the recipe", source)); !d.empty())
    source.reject("the checkpoint belongs to another run: ", d);

  try {
    TrainingRun::State state;
    state.step = all.at("step").item<std::int64_t>();
    const Tensor& rows = all.at("report");
    if (rows.dtype() != Dtype::f64 || rows.dim() != 2 || rows.size(1) != kColumns || rows.size(0) < 1 ||
        rows.size(0) > epochs)
      source.reject("the report of ", rows.dtype(), " and shape ", rows.shape(), " does not fit ", epochs,
                    " epochs of ", kColumns, " float64");
    state.report = report_from(rows);
    if (state.report.best_epoch > 0) state.best = best_of(all, run.model(), source);
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
  } catch (const LimitError&) {  // memory that runs out is no fault of the file
    throw;
  } catch (const Error& e) {
    source.reject(e.what());
  }
}

}  // namespace coppice::sparsity
