#pragma once
// Packed layers of a model, as commands list them.

#include "app.h"
#include "coppice/nn/module.h"

namespace coppice::cli {

struct NameFilter;

/// How each stores its weight: {"module", "type", "format", "layout", "block": [rows, columns], "element", "bytes"}.
[[nodiscard]] Json packed_json(const nn::Module& model);
/// The same as a table.
[[nodiscard]] Table packed_table(const nn::Module& model);
/// Names of the weights that they hold: "0.weight".
[[nodiscard]] std::vector<std::string> packed_weights(const nn::Module& model);
/// @throws NotSupported  if a pattern of --include names none of `names`, but a packed weight: what to do is said
void refuse_packed(const NameFilter& filter, const std::vector<std::string>& names,
                   const std::vector<std::string>& packed, const std::string& path);
/// A note for each packed weight: it stays as it is.
void note_packed(const App& app, const std::vector<std::string>& packed, const std::string& path);
/// The command that makes a packed model dense, for messages.
[[nodiscard]] std::string unpack_command(const std::string& path);

}  // namespace coppice::cli
