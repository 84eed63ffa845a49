#include <fcntl.h>

#include <map>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/sharded.h"
#include "io/file/file_handle.h"
#include "io/safetensors/file.h"

namespace coppice {
namespace {

FileHandle open_folder(const std::filesystem::path& index, const Source& source) {
  const std::filesystem::path folder = index.has_parent_path() ? index.parent_path() : ".";
  FileHandle out(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!out) throw IoError(cat(source.prefix(), "cannot open its folder: ", errno_text()));
  return out;
}

/// The metadata that is the same in every shard.
void keep_common(std::map<std::string, std::string>& common, const std::map<std::string, std::string>& other) {
  std::erase_if(common, [&](const auto& entry) {
    const auto twin = other.find(entry.first);
    return twin == other.end() || twin->second != entry.second;
  });
}

/// The result of `read`; what it throws tells the index too, and a tensor that it wants there.
template <class Read>
NamedTensors with_origin(const std::filesystem::path& index, std::string_view tensor, Read read) {
  const auto told = [&](const Error& e) {
    return cat(e.what(), " (a shard of ", quote_path(index.string()), ", which puts ", quote(tensor), " there)");
  };
  try {
    return read();
  } catch (const IoError& e) {
    throw IoError(told(e));
  } catch (const FormatError& e) {
    throw FormatError(told(e));
  } catch (const LimitError& e) {
    throw LimitError(told(e));
  } catch (const NotSupported& e) {
    throw NotSupported(told(e));
  }
}

}  // namespace

NamedTensors read_sharded(const std::filesystem::path& path, const ReadOptions& options) {
  const Source source{"read_sharded", path.string()};
  const ShardIndex index = read_shard_index(path, options);
  const FileHandle folder = open_folder(path, source);
  std::map<std::string_view, std::size_t> shard_of;
  std::vector<std::vector<std::string_view>> wanted(index.shards.size());  // no shard is without a tensor
  for (const auto& [name, shard] : index.tensors) {
    shard_of.emplace(name, shard);
    wanted[shard].push_back(name);
  }

  std::map<std::string_view, Tensor> found;
  NamedTensors out;
  std::uint64_t bytes = 0, count = 0, unlisted = 0;
  for (std::size_t i = 0; i < index.shards.size(); ++i) {
    const std::string& shard = index.shards[i];
    const Source part{"read_safetensors", (path.parent_path() / shard).string()};
    const NamedTensors tensors = with_origin(path, wanted[i].front(), [&] {
      const auto file = MappedFile::open_in(folder.get(), shard, part, options);
      bytes += file->bytes().size();
      if (bytes > options.limits.file_bytes)
        part.exceeded("file_bytes", "the size of all shards so far", options.limits.file_bytes, bytes);
      return safetensors_in(file, part, options);
    });
    count += tensors.size();  // also those that the index does not name: they cost memory too
    if (count > options.limits.tensors)
      source.exceeded("tensors", "tensors of all shards so far", options.limits.tensors, count);
    out.compared() += tensors.compared();
    if (i == 0)
      out.metadata() = tensors.metadata();
    else
      keep_common(out.metadata(), tensors.metadata());
    for (const auto& [name, tensor] : tensors) {
      const auto place = shard_of.find(name);
      if (place == shard_of.end()) {
        out.skipped().push_back(cat(shard, ": ", name));
        unlisted += out.skipped().back().size();
        if (unlisted > options.limits.header_bytes)
          part.exceeded("header_bytes", "names of all shards so far that the index does not list",
                        options.limits.header_bytes, unlisted);
      } else if (place->second != i) {
        source.reject("weight_map: ", quote(name), " must stand in ", quote(index.shards[place->second]),
                      " alone; it stands in ", quote(shard), " too");
      } else {
        found.emplace(place->first, tensor);
      }
    }
    // Found now: thousands of shards may be one file under many names, which would be read as often.
    for (const std::string_view name : wanted[i])
      if (!found.contains(name))
        source.reject("weight_map: ", quote(name), " must stand in ", quote(shard), "; it is not there");
  }
  for (const auto& [name, shard] : index.tensors) out.add(name, found.at(name));
  return out;
}

}  // namespace coppice
