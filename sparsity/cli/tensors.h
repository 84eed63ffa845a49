#pragma once
// Files as models or as bare tensors, and the choice of tensors by name.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app.h"
#include "coppice/engine/io/named_tensors.h"
#include "coppice/nn/module.h"

namespace coppice::cli {

/// A file that was read: always its tensors, and the model if it is one.
struct Loaded {
  NamedTensors tensors;
  nn::ModulePtr model;  ///< null for a bare checkpoint
  /// Of modules that this program does not know. Their model cannot be called; it is null where its tensors fit no
  /// stand-ins, and is taken as a bare checkpoint then.
  std::vector<std::string> unknown_types;
};
[[nodiscard]] Loaded load_any(const App& app, const std::string& path);
/// Says on stderr which types of modules are not known, if any.
void note_unknown_types(const App& app, const Loaded& loaded);
/// @throws FormatError  if the file is no model
[[nodiscard]] Loaded load_model(const App& app, const std::string& path);
[[nodiscard]] nn::ModulePtr load_model_file(const App& app, const std::string& path);

/// A model made of a state dict and an architecture.
struct Imported {
  nn::ModulePtr model;
  std::size_t tensors = 0;  ///< of the checkpoint
  std::int64_t masked = 0;  ///< weights whose masks the checkpoint holds
  /// Weights that PyTorch's sparsifiers had prepared, and whose masks it did not write: they are dense.
  std::vector<std::string> prepared;
};
/// @throws as load_tensors, read_architecture and load_state_dict
[[nodiscard]] Imported import_model(const App& app, const std::string& weights, const std::string& arch);

/// What a model file says beside its tree, to be handed on to the next file.
[[nodiscard]] std::map<std::string, std::string> notes_of(const NamedTensors& tensors);

/// Whether a glob of '*', '?' and plain characters matches the whole text. Linear in text times pattern.
[[nodiscard]] bool matches(const std::string& glob, const std::string& text);

/// --include and --exclude.
struct NameFilter {
  std::vector<std::string> include;
  std::vector<std::string> exclude;

  void add_options(CLI::App* sub);
  /// Whether a tensor takes part. Without --include: floating, two or more axes, last name component starts with
  /// "weight".
  [[nodiscard]] bool takes(const std::string& name, const Tensor& tensor) const;
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
