#include <map>
#include <set>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/sharded.h"
#include "io/file/shard_folder.h"
#include "io/left_out.h"
#include "io/safetensors/file.h"
#include "io/safetensors/ties.h"
#include "io/torch/file.h"

namespace coppice {
namespace {

/// The tensors of one shard, whose contents say what it is. @param bytes  gets its size
NamedTensors read_shard(const ShardFolder& folder, const std::string& name, const std::filesystem::path& index,
                        const ReadOptions& options, std::uint64_t& bytes) {
  const bool torch = name.ends_with(".bin");
  const Source source{torch ? "read_torch" : "read_safetensors", (index.parent_path() / name).string()};
  const FileHandle fd = folder.open(name, source);
  const auto file = MappedFile::of(fd.get(), source, options);
  bytes += file->bytes().size();
  if (bytes > options.limits.file_bytes)
    source.exceeded("file_bytes", "the size of all shards so far", options.limits.file_bytes, bytes);
  return torch ? torch_in(file, source, options, std::filesystem::path(name).stem().string())
               : safetensors_in(file, source, options);
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

/// Gathers the tensors of shards as an index wants them.
class Gathering {
 public:
  Gathering(const ShardIndex& index, const Source& source, const Limits& limits)
      : index_(index), source_(source), limits_(limits), wanted_(index.shards.size()) {
    for (const auto& [name, shard] : index.tensors) {
      shard_of_.emplace(name, shard);
      wanted_[shard].push_back(name);
    }
  }

  /// A tensor of a shard; none is without.
  [[nodiscard]] std::string_view first_wanted(std::size_t shard) const { return wanted_[shard].front(); }

  /// What the shard of this number holds. @throws FormatError, LimitError
  void take(std::size_t shard, const NamedTensors& tensors) {
    count_ += tensors.size();  // also those that the index does not name: they cost memory too
    if (count_ > limits_.tensors) source_.exceeded("tensors", "tensors of all shards so far", limits_.tensors, count_);
    out_.compared() += tensors.compared();
    if (shard == 0)
      out_.metadata() = tensors.metadata();
    else
      keep_common(out_.metadata(), tensors.metadata());
    for (const auto& [name, tensor] : tensors) {
      const auto place = shard_of_.find(name);
      if (place == shard_of_.end())
        leave_out(shard, name);
      else if (place->second != shard)
        source_.reject("weight_map: ", quote(name), " must stand in ", quote(index_.shards[place->second]),
                       " alone; it stands in ", quote(index_.shards[shard]), " too");
      else
        found_.emplace(place->first, tensor);
    }
    for (const std::string& line : tensors.skipped()) leave_out(shard, line);
    // Found now: thousands of shards may be one file under many names, which would be read as often.
    const LeftOut left_out(tensors.skipped());
    for (const std::string_view name : wanted_[shard])
      if (!found_.contains(name) && !left_out.contains(name))
        source_.reject("weight_map: ", quote(name), " must stand in ", quote(index_.shards[shard]),
                       "; it is not there");
  }

  /// All of them, in the order of the index.
  [[nodiscard]] NamedTensors result(MemoryBudget& budget) {
    std::set<std::string, std::less<>> left_out;
    for (const auto& [name, shard] : index_.tensors)
      if (const auto place = found_.find(name); place != found_.end())
        out_.add(name, place->second);
      else
        left_out.insert(name);
    // Of notes only those of ties: what else an index says is not what its shards say.
    for (const auto& [key, text] : index_.notes)
      if (out_.contains(text) && !out_.contains(key) && !left_out.contains(key)) out_.metadata().emplace(key, text);
    add_ties(out_, left_out, source_, limits_, budget);
    return std::move(out_);
  }

 private:
  void leave_out(std::size_t shard, const std::string& what) {
    out_.skipped().push_back(cat(index_.shards[shard], ": ", what));
    left_out_bytes_ += out_.skipped().back().size();
    if (left_out_bytes_ > limits_.header_bytes)
      source_.exceeded("header_bytes",
                       cat("names up to shard ", quote(index_.shards[shard]), " that the index does not list"),
                       limits_.header_bytes, left_out_bytes_);
  }

  const ShardIndex& index_;
  const Source& source_;
  const Limits& limits_;
  std::map<std::string_view, std::size_t> shard_of_;
  std::vector<std::vector<std::string_view>> wanted_;
  std::map<std::string_view, Tensor> found_;
  NamedTensors out_;
  std::uint64_t count_ = 0, left_out_bytes_ = 0;
};

}  // namespace

NamedTensors read_sharded(const std::filesystem::path& path, const ReadOptions& options) {
  const Source source{"read_sharded", path.string()};
  const ShardIndex index = read_shard_index(path, options);
  const ShardFolder folder(path.has_parent_path() ? path.parent_path() : ".", source, options.follow_links);
  Gathering gathering(index, source, options.limits);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < index.shards.size(); ++i)
    gathering.take(i, with_origin(path, gathering.first_wanted(i),
                                  [&] { return read_shard(folder, index.shards[i], path, options, bytes); }));
  MemoryBudget budget(source, options.limits, bytes);
  return gathering.result(budget);
}

}  // namespace coppice
