#include "packed.h"

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

}  // namespace coppice::cli
