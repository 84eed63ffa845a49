#include "packed.h"

#include <algorithm>

#include "app/command_line.h"
#include "coppice/engine/checked.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/name_pattern.h"
#include "coppice/nn/packed/packed_layer.h"
#include "tensors.h"

namespace coppice::cli {

Json packed_json(const nn::Module& model) {
  Json list = Json::array();
  for (const auto& [path, layer] : nn::packed_layers(model)) {
    const PackedMatrix weight = layer->weight();
    const PackedFormat format = weight.format();
    list.push_back({{"module", path},
                    {"type", std::string(layer->type_name())},
                    {"format", to_string(format)},
                    {"layout", std::string(format.layout().name)},
                    {"block", {format.block().rows, format.block().cols}},
                    {"element", to_string(format.element())},
                    {"bytes", weight.nbytes()}});
  }
  return list;
}

Table packed_table(const nn::Module& model) {
  Table table{{"packed layer", "type", "format", "layout", "block", "element", "bytes"}, {}};
  for (const auto& [path, layer] : nn::packed_layers(model)) {
    const PackedMatrix weight = layer->weight();
    const PackedFormat format = weight.format();
    table.rows.push_back({printable(path), std::string(layer->type_name()), to_string(format),
                          std::string(format.layout().name), to_string(format.block()), to_string(format.element()),
                          grouped(static_cast<std::int64_t>(weight.nbytes()))});
  }
  return table;
}

std::vector<std::string> packed_weights(const nn::Module& model) {
  std::vector<std::string> out;
  for (const auto& [path, layer] : nn::packed_layers(model)) out.push_back(nn::joined(path, "weight"));
  return out;
}

void refuse_packed(const NameFilter& filter, const std::vector<std::string>& names,
                   const std::vector<std::string>& packed, const std::string& path) {
  for (const std::string& pattern : filter.include) {
    const auto named = [&](const std::string& name) { return nn::names_tensor(pattern, name); };
    const auto met = std::ranges::find_if(packed, named);
    if (met != packed.end() && std::ranges::none_of(names, named))
      throw NotSupported(cat(quote(*met), " of ", quote_path(path), " is packed and cannot be pruned or trained; ",
                             unpack_command(path), " makes it dense"));
  }
}

void note_packed(const App& app, const std::vector<std::string>& packed, const std::string& path) {
  for (const std::string& name : packed)
    note(app,
         cat("note: ", printable(name), " is packed and stays as it is; ", unpack_command(path), " makes it dense"));
}

std::string unpack_command(const std::string& path) {
  return cat("coppice unpack ", shell_quoted(path), " -o DENSE.safetensors");
}

}  // namespace coppice::cli
