#include "coppice/nn/io/architecture.h"

#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"
#include "io/module_json.h"
#include "io/strict_json.h"

namespace coppice::nn {

ModulePtr parse_architecture(std::string_view json, const std::string& file, const Limits& limits) {
  const std::string source = quote_path(file);
  const JsonDocument document = parse_strict(json, source, limits);
  ArgumentReader arguments;
  return module_from_json(*document, source, arguments, limits);
}

ModulePtr read_architecture(const std::filesystem::path& path, const Limits& limits) {
  return parse_architecture(read_text(path, Source{"architecture", path.string()}, limits), path.string(), limits);
}

}  // namespace coppice::nn
