#include "coppice/nn/io/architecture.h"

#include "coppice/engine/checked.h"
#include "io/module_json.h"
#include "io/read_text.h"
#include "io/strict_json.h"

namespace coppice::nn {

ModulePtr parse_architecture(std::string_view json, const std::string& file) {
  const std::string source = quote_path(file);
  const JsonDocument document = parse_strict(json, source);
  return module_from_json(*document, source, false);
}

ModulePtr read_architecture(const std::filesystem::path& path) {
  return parse_architecture(read_text(path), path.string());
}

}  // namespace coppice::nn
