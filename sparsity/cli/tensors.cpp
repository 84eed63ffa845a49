#include "tensors.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/io/budget.h"
#include "coppice/engine/io/json.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/sharded.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/name_pattern.h"
#include "coppice/nn/packed/unpack.h"
#include "coppice/nn/state_dict.h"
#include "coppice/sparsity/pack/sparse_members.h"

namespace coppice::cli {

NamedTensors load_checkpoint(const App& app, const std::string& path, bool* was_compact) {
  NamedTensors out = load_tensors(path, app.read);
  const bool compact = sparsity::is_compact(out);
  if (was_compact != nullptr) *was_compact = compact;
  return compact ? sparsity::expand(out, path, app.read.limits) : out;
}

Loaded load_any(const App& app, const std::string& path) {
  Loaded out;
  app.files.push_back(path);
  out.tensors = load_checkpoint(app, path, &out.was_compact);
  if (!nn::is_model(out.tensors)) return out;
  try {
    out.model = nn::model_from_tensors(out.tensors, path, app.read.limits);
  } catch (const FormatError&) {
    out.unknown_types = nn::unknown_types(out.tensors, app.read.limits);
    if (out.unknown_types.empty()) throw;
    try {
      out.model = nn::model_from_tensors(out.tensors, path, app.read.limits, nn::UnknownTypes::keep);
    } catch (const FormatError&) {  // masks of modules that nobody knows, for one: the tensors are there all the same
    }
  }
  return out;
}

namespace {

/// "'Net', 'Block'", the first of many.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 10;
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) out += cat(i == 0 ? "" : ", ", quote(names[i]));
  return names.size() > kShown ? cat(out, " and ", names.size() - kShown, " more") : out;
}

}  // namespace

void note_unknown_types(const App& app, const Loaded& loaded) {
  if (!loaded.unknown_types.empty())
    note(app, cat("note: the model has modules of types that this program does not know (",
                  listed(loaded.unknown_types), "): ",
                  loaded.model != nullptr ? "they are taken as what holds their tensors"
                                          : "all tensors are taken as they are stored"));
}

Loaded load_model(const App& app, const std::string& path) {
  Loaded loaded = load_any(app, path);
  if (!loaded.unknown_types.empty())
    throw FormatError(cat(quote_path(path),
                          " has modules of types that this program does not know: ", listed(loaded.unknown_types),
                          "; only inspect, verify, convert and prune take it, as tensors with names"));
  if (loaded.model == nullptr)
    throw FormatError(cat("'", path, "' holds tensors but no model; make one with: coppice import ", path,
                          " --arch ARCH.json -o MODEL.safetensors"));
  return loaded;
}

nn::ModulePtr load_model_file(const App& app, const std::string& path) { return load_model(app, path).model; }

std::map<std::string, std::string> notes_of(const NamedTensors& tensors) {
  std::map<std::string, std::string> notes(tensors.metadata().begin(), tensors.metadata().end());
  notes.erase(nn::kModelKey);
  return notes;
}

void NameFilter::add_options(CLI::App* sub) {
  sub->add_option(
      "--include", include,
      "Tensors to take, by a pattern with * and ?: 0.weight, pruned or parametrized or not (repeatable; default: "
      "weights, but no gains, norms and embeddings of positions)");
  sub->add_option("--exclude", exclude, "Tensors to leave out (repeatable)");
}

namespace {

bool any_names(const std::vector<std::string>& patterns, const std::string& name) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) { return nn::names_tensor(pattern, name); });
}

}  // namespace

bool NameFilter::excludes(const std::string& name) const { return any_names(exclude, name); }

std::string NameFilter::why_left(const sparsity::Prunable& tensor) const {
  if (excludes(tensor.name)) return "left out by --exclude";
  if (include.empty()) return sparsity::left_by_default(tensor);
  if (!any_names(include, tensor.name)) return "not named by --include";
  const Dtype dtype = tensor.value().dtype();
  return is_floating(dtype) ? "" : cat("its type is ", dtype);
}

void NameFilter::check_patterns(const std::vector<std::string>& names) const {
  for (const auto* list : {&include, &exclude})
    for (const std::string& glob : *list) {
      if (!std::ranges::any_of(names, [&](const std::string& name) { return nn::names_tensor(glob, name); }))
        throw KeyError(cat("the pattern '", glob, "' matches no tensor"));
    }
}

NamedTensors plain_tensors(const App& app, const std::string& path, const nn::ModulePtr& model) {
  NoGrad guard;
  MemoryBudget budget(Source{"unpack", path}, app.read.limits, file_size(path));
  return nn::state_dict(*nn::unpack(model, &budget));
}

bool is_pytorch_name(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  return extension == ".pt" || extension == ".pth" || extension == ".bin";
}

std::vector<std::string> files_behind(const App& app, const std::string& path) {
  std::vector<std::string> files{path};
  const std::filesystem::path index(path);
  std::error_code error;
  if (!std::filesystem::is_regular_file(index, error)) return files;
  char first = 0;
  if (!(std::ifstream(index) >> first) || first != '{') return files;
  try {
    for (const std::string& shard : read_shard_index(index, app.read).shards)
      files.push_back((index.parent_path() / shard).string());
  } catch (const Error&) {  // whoever reads the tensors says what is wrong with it
  }
  return files;
}

namespace {

/// Notes keys of the top object. The reader that is chosen says what is wrong with the text.
class TopKeys final : public JsonReceiver {
 public:
  struct TooDeep {};
  bool type = false, weight_map = false;

 private:
  void scalar(JsonScalar) override {}
  void key(const std::string& text) override {
    type = type || (depth() == 1 && text == "type");
    weight_map = weight_map || (depth() == 1 && text == "weight_map");
  }
  void open(bool) override {
    constexpr std::size_t kDeep = 1000;  // what stands below decides nothing
    if (depth() == kDeep) throw TooDeep{};
  }
  void close(bool) override {}
  void twice(const std::string&) override {}
  bool compares_keys() const override { return false; }
  void malformed(std::uint64_t, const std::string&) override {}
};

}  // namespace

bool is_architecture(const App& app, const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  // Too long for one: the length of a safetensors header can read as " {".
  if (file_size(path) > app.read.limits.header_bytes) return false;
  char first = 0;
  if (!(std::ifstream(path) >> first) || first != '{') return false;
  const std::string text = read_text(path, Source{"verify", path}, app.read.limits);
  TopKeys keys;
  try {
    keys.read(text);
  } catch (const TopKeys::TooDeep&) {
  }
  return keys.type && !keys.weight_map;
}

std::string printable(const std::string& name) {
  std::string out;
  for (const char c : coppice::printable(name)) {  // which keeps newlines
    if (c == '\n')
      out += "\\x0a";
    else
      out += c;
  }
  return out;
}

std::uint64_t file_size(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace coppice::cli
