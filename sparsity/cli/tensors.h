#pragma once
// Files as models or as bare tensors, and the choice of tensors by name.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app.h"
#include "coppice/engine/io/named_tensors.h"
#include "coppice/nn/module.h"
#include "coppice/sparsity/prunables.h"

namespace coppice::cli {

/// A file that was read: always its tensors, and the model if it is one.
struct Loaded {
  NamedTensors tensors;
  nn::ModulePtr model;       ///< null for a bare checkpoint
  bool was_compact = false;  ///< its tensors stood without their zeros, and were put together
  /// Of modules that this program does not know. Their model cannot be called; it is null where its tensors fit no
  /// stand-ins, and is taken as a bare checkpoint then.
  std::vector<std::string> unknown_types;
};
/// load_tensors(), with sparse members put together (sparsity/pack/sparse_members.h).
/// @param was_compact  if given, gets whether there were any
[[nodiscard]] NamedTensors load_checkpoint(const App& app, const std::string& path, bool* was_compact = nullptr);
[[nodiscard]] Loaded load_any(const App& app, const std::string& path);
/// Says on stderr which types of modules are not known, if any.
void note_unknown_types(const App& app, const Loaded& loaded);
/// @throws FormatError  if the file is no model
[[nodiscard]] Loaded load_model(const App& app, const std::string& path);
[[nodiscard]] nn::ModulePtr load_model_file(const App& app, const std::string& path);

/// What a model file says beside its tree, to be handed on to the next file.
[[nodiscard]] std::map<std::string, std::string> notes_of(const NamedTensors& tensors);

/// --include and --exclude: patterns on the names and the public names of tensors (nn/name_pattern.h).
struct NameFilter {
  std::vector<std::string> include;
  std::vector<std::string> exclude;

  void add_options(CLI::App* sub);
  /// Whether a tensor takes part: a floating one that a pattern of --include names; without any, a weight
  /// (sparsity::left_by_default).
  [[nodiscard]] bool takes(const sparsity::Prunable& tensor) const { return why_left(tensor).empty(); }
  /// Why it does not; empty if it does.
  [[nodiscard]] std::string why_left(const sparsity::Prunable& tensor) const;
  /// Whether --exclude names it.
  [[nodiscard]] bool excludes(const std::string& name) const;
  /// @throws KeyError  naming a pattern that matches none of `names`
  void check_patterns(const std::vector<std::string>& names) const;
};

/// What PyTorch would have for a model: its state dict, with masks as floating X_mask beside X_orig, and packed layers
/// unpacked, in the model too. @throws LimitError  if they need more memory than the file and the limits give them
[[nodiscard]] NamedTensors plain_tensors(const App& app, const std::string& path, const nn::ModulePtr& model);

/// Whether the name is one of PyTorch's files. Their tensors are marked "format": "pt" in safetensors, as readers in
/// Python ask.
[[nodiscard]] bool is_pytorch_name(const std::string& path);

/// The file, and for the index of a sharded checkpoint its shards too.
[[nodiscard]] std::vector<std::string> files_behind(const App& app, const std::string& path);

/// Whether the file is JSON whose object describes modules rather than shards: it has a "type" and no "weight_map".
[[nodiscard]] bool is_architecture(const App& app, const std::string& path);

/// A name as a line can show it: control and escape bytes as \xNN.
[[nodiscard]] std::string printable(const std::string& name);

[[nodiscard]] std::uint64_t file_size(const std::string& path);

}  // namespace coppice::cli
