#include "coppice/engine/io/npy.h"

#include "coppice/engine/checked.h"
#include "coppice/engine/io/atomic_file.h"
#include "coppice/engine/io/mapped_file.h"
#include "io/left_out.h"
#include "io/numpy/format.h"
#include "io/zip/zip.h"

namespace coppice {
Tensor read_npy(const std::filesystem::path& path, const ReadOptions& options) {
  const Source source{"read_npy", path.string()};
  const auto file = MappedFile::open(path, source, options);
  MemoryBudget budget(source, options.limits, file->bytes().size());
  return npy_tensor(source, path.stem().string(), storage_in(file, file->bytes()), 0, options, budget);
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  const std::string header = npy_header(tensor, "write_npy");
  AtomicFile file(path, "write_npy");
  file.write(header);
  file.write({tensor.bytes(), tensor.nbytes()});
  file.commit();
}

NamedTensors read_npz(const std::filesystem::path& path, const ReadOptions& options) {
  const Source source{"read_npz", path.string()};
  const auto file = MappedFile::open(path, source, options);
  const ZipReader zip(file, source, options);
  MemoryBudget budget(source, options.limits, file->bytes().size());
  NamedTensors out;
  for (const ZipMember& member : zip.members()) {
    if (!member.name.ends_with(".npy")) {
      out.skipped().push_back(member.name);
      continue;
    }
    const std::string name = member.name.substr(0, member.name.size() - 4);
    std::string foreign;
    if (member.deflated && !options.strict && member.bytes > kNpyBeginning)  // nothing is inflated to be left out
      foreign = foreign_array(inside(source, member), zip.beginning(member, kNpyBeginning), member.bytes, 0, options);
    if (!foreign.empty()) {
      out.skipped().push_back(left_out_line(name, foreign));
      continue;
    }
    Tensor array =
        npy_tensor(inside(source, member), name, zip.contents(member, budget), member.deflated ? 0 : member.data_offset,
                   options, budget, options.strict ? nullptr : &foreign);
    if (array.defined())
      out.add(name, std::move(array));
    else
      out.skipped().push_back(left_out_line(name, foreign));
  }
  return out;
}

void write_npz(const std::filesystem::path& path, const NamedTensors& tensors) {
  std::vector<std::string> headers;
  for (const auto& [name, tensor] : tensors) {
    if (!is_utf8(name) || name.find_first_of(std::string_view("\\\0", 2)) != name.npos || name.starts_with('/') ||
        name.starts_with("../") || name.find("/../") != name.npos)
      throw ValueError(cat("[write_npz] ", quote(name), " cannot name a member of an archive"));
    headers.push_back(npy_header(tensor, "write_npz"));
  }
  AtomicFile file(path, "write_npz");
  ZipWriter zip(file);
  std::size_t i = 0;
  for (const auto& [name, tensor] : tensors)
    zip.add(name + ".npy", std::as_bytes(std::span(headers[i++])), {tensor.bytes(), tensor.nbytes()});
  zip.finish();
  file.commit();
}

}  // namespace coppice
