#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/torch_file.h"
#include "io/magic.h"
#include "io/torch/containers.h"
#include "io/torch/file.h"

namespace coppice {

NamedTensors read_torch(const std::filesystem::path& path, const ReadOptions& options) {
  const Source source{"read_torch", path.string()};
  return torch_in(MappedFile::open(path, source, options), source, options, path.stem().string());
}

NamedTensors torch_in(const std::shared_ptr<MappedFile>& file, const Source& source, const ReadOptions& options,
                      const std::string& stem) {
  switch (file_kind(file->bytes())) {
    case FileKind::zip: return read_torch_zip(file, source, options, stem);
    case FileKind::torch_legacy: return read_torch_legacy(file, source, options, stem);
    case FileKind::tar: return read_torch_tar(file, source, options, stem);
    case FileKind::pickle:
      source.reject("the file is a plain pickle, which may hold code; save model.state_dict() with torch.save");
    default: source.reject("the file was not written by torch.save: it is ", describe(file_kind(file->bytes())));
  }
}

}  // namespace coppice
