#include "coppice/engine/io/load.h"

#include <span>
#include <string_view>
#include <vector>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/io/sharded.h"
#include "coppice/engine/io/torch_file.h"
#include "io/magic.h"

namespace coppice {
namespace {

NamedTensors one(const std::filesystem::path& path, Tensor tensor) {
  NamedTensors out;
  out.add(path.stem().string(), std::move(tensor));
  return out;
}

bool is_torch_name(const std::string& extension) {
  return extension == ".pt" || extension == ".pth" || extension == ".bin";
}

/// A zip is NumPy's when its first member is an array. The name stands at byte 30 of the file, its length at byte 26.
bool is_npz(std::span<const std::byte> head) {
  if (head.size() < 30) return false;
  const std::size_t length = std::to_integer<std::size_t>(head[26]) | std::to_integer<std::size_t>(head[27]) << 8;
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  return text.substr(30, length).ends_with(".npy");
}

/// What torch.distributed.checkpoint wrote: a folder of parts, none of which has a whole tensor for certain.
[[noreturn]] void reject_distributed(const Source& source, const std::filesystem::path& folder) {
  source.reject(
      "this is a distributed checkpoint of PyTorch; make one file of its folder first: python -m "
      "torch.distributed.checkpoint.format_utils dcp_to_torch ",
      quote_path(folder.string()), " model.pt");
}

/// Whether a reader of another format could say nothing that helps more.
bool is_foreign(FileKind kind) {
  switch (kind) {
    case FileKind::gzip:
    case FileKind::seven_zip:
    case FileKind::hdf5:
    case FileKind::gguf:
    case FileKind::onnx:
    case FileKind::html:
    case FileKind::lfs_pointer: return true;
    default: return false;
  }
}

/// JSON: an object after white space. No other kind that is read begins so.
bool is_json(std::span<const std::byte> head) {
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != text.npos && text[first] == '{';
}

}  // namespace

NamedTensors load_tensors(const std::filesystem::path& path, const ReadOptions& options) {
  const Source source{"load_tensors", path.string()};
  const std::string extension = path.extension().string();
  if (std::error_code none; std::filesystem::is_regular_file(path / ".metadata", none))
    reject_distributed(source, path);
  const std::vector<std::byte> head = read_head(path, source, 8192);
  const FileKind kind = file_kind(head);
  switch (kind) {
    case FileKind::safetensors: return read_safetensors(path, options);
    case FileKind::npy: return one(path, read_npy(path, options));
    case FileKind::tar:
    case FileKind::torch_legacy: return read_torch(path, options);
    case FileKind::zip:
      if (extension == ".distcp") reject_distributed(source, path.parent_path());
      return extension == ".npz" || is_npz(head) ? read_npz(path, options) : read_torch(path, options);
    default: break;
  }
  if (kind == FileKind::unknown && is_json(head)) return read_sharded(path, options);
  if (is_foreign(kind))
    source.reject("the file is ", describe(kind), "; safetensors, .pt and .pth of PyTorch, .npz and .npy are read");
  // Damaged at its very beginning: the reader that the extension asks for says how.
  if (extension == ".safetensors") return read_safetensors(path, options);
  if (is_torch_name(extension)) return read_torch(path, options);
  if (extension == ".npy") return one(path, read_npy(path, options));
  if (extension == ".json") return read_sharded(path, options);
  source.reject("the file is ", describe(kind), "; safetensors, .pt and .pth of PyTorch, .npz and .npy are read");
}

void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                  const SafetensorsWriteOptions& options) {
  const std::string extension = path.extension().string();
  if (extension == ".safetensors") {
    SafetensorsWriteOptions tied = options;
    tied.tied = true;
    return write_safetensors(path, tensors, tied);
  }
  if (is_torch_name(extension)) return write_torch(path, tensors);
  if (extension == ".npz") return write_npz(path, tensors);
  if (extension != ".npy")
    throw ValueError(
        cat("[save_tensors] ", quote_path(path.string()), " must end in .safetensors, .pt, .pth, .bin, .npz or .npy"));
  if (tensors.size() != 1) throw ValueError(cat("[save_tensors] a .npy file holds one tensor; got ", tensors.size()));
  write_npy(path, tensors.begin()->second);
}

}  // namespace coppice
