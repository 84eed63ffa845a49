#include <map>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/json.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/sharded.h"

namespace coppice {
namespace {

/// Keeps the members of the top object's "weight_map" alone.
class IndexReceiver final : public JsonReceiver {
 public:
  IndexReceiver(const Source& source, const Limits& limits) : source_(source), limits_(limits) {}

  ShardIndex result() {
    if (!has_map_) source_.reject("the file is no index of shards: it has no \"weight_map\"");
    return std::move(index_);
  }

 private:
  void scalar(JsonScalar value) override {
    if (depth() == 2 && in_notes_) return note(value);
    if (depth() == 0) source_.reject("an index must be an object; it is ", shown(value));
    if (depth() == 1 && at_map_) source_.reject("\"weight_map\" must be an object; it is ", shown(value));
    if (depth() != 2 || !in_map_) return;
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) refuse(shown(value));
    check_shard(*text);
    const auto [place, is_new] = shards_.try_emplace(*text, index_.shards.size());
    if (is_new && index_.shards.size() == limits_.shards)
      source_.exceeded("shards", "files that the index names", limits_.shards, limits_.shards + 1);
    if (is_new) index_.shards.push_back(*text);
    index_.tensors.emplace_back(key_, place->second);
  }
  void key(const std::string& text) override {
    if (depth() == 1) {
      at_map_ = text == "weight_map";
      at_notes_ = text == "metadata";
      has_map_ = has_map_ || at_map_;
    } else if (depth() == 2 && in_map_) {
      check_name(text);
      if (++names_ > limits_.tensors) source_.exceeded("tensors", "tensors of the index", limits_.tensors, names_);
      key_ = text;
    } else if (depth() == 2 && in_notes_) {
      key_ = text;
    }
  }
  /// Elsewhere nothing is read, and nothing refused.
  bool compares_keys() const override { return depth() == 1 || (depth() == 2 && in_map_); }
  void twice(const std::string& text) override {
    if (depth() == 1 && text == "weight_map") source_.reject("\"weight_map\" stands twice");
    if (depth() == 2 && in_map_) source_.reject("weight_map: name ", quote(text), " stands twice");
    at_map_ = at_notes_ = false;
  }
  void open(bool list) override {
    if (list && depth() == 0) source_.reject("an index must be an object; it is an array");
    if (list && depth() == 1 && at_map_) source_.reject("\"weight_map\" must be an object; it is an array");
    if (in_map_ && depth() == 2) refuse(list ? "an array" : "an object");
    if (depth() == 1) in_map_ = !list && at_map_;
    if (depth() == 1) in_notes_ = !list && at_notes_;
    if (depth() == limits_.nesting) source_.exceeded("nesting", "depth of the index", limits_.nesting, depth() + 1);
  }
  void close(bool) override {
    if (depth() == 1) in_map_ = in_notes_ = false;
  }
  void malformed(std::uint64_t byte, const std::string& rule) override { source_.reject_at(byte, "the index ", rule); }

  void check_name(const std::string& text) const {
    if (text.size() > limits_.name_bytes)
      source_.exceeded("name_bytes", "bytes of a name", limits_.name_bytes, text.size());
    if (text.find('\0') != text.npos) source_.reject("weight_map: name ", quote(text), " contains NUL");
  }
  /// Whoever reads the notes takes those alone that name tensors, so that nothing is wrong with any.
  void note(const JsonScalar& value) {
    const auto* text = std::get_if<std::string>(&value);
    const bool named = key_.size() <= limits_.name_bytes && key_.find('\0') == key_.npos;
    if (text != nullptr && named) index_.notes.emplace(key_, *text);
  }
  [[noreturn]] void refuse(const std::string& what) const {
    source_.reject("weight_map: ", quote(key_), " must be the name of a file; it is ", what);
  }
  /// The plain name of a file: nothing that could lead out of the folder, on any system.
  void check_shard(const std::string& name) const {
    const auto reject = [&](const char* rule) {
      source_.reject("weight_map: ", quote(key_), ": a shard must ", rule, "; it is ", quote(name));
    };
    if (name.size() > limits_.name_bytes)
      source_.exceeded("name_bytes", "bytes of the name of a shard", limits_.name_bytes, name.size());
    if (name.find_first_of(std::string_view("/\\\0", 3)) != name.npos)
      reject("be a plain file name, without folders, backslash and NUL");
    if (!name.ends_with(".safetensors") && !name.ends_with(".bin")) reject("end in .safetensors or .bin");
  }

  const Source& source_;
  const Limits& limits_;
  ShardIndex index_;
  std::map<std::string, std::size_t> shards_;
  std::uint64_t names_ = 0;
  std::string key_;
  bool has_map_ = false;  // seen
  bool at_map_ = false;   // the last key of the top object was "weight_map"
  bool in_map_ = false;
  bool at_notes_ = false, in_notes_ = false;  // the same of "metadata"
};

}  // namespace

ShardIndex read_shard_index(const std::filesystem::path& path, const ReadOptions& options) {
  const Source source{"read_sharded", path.string()};
  const std::string text = read_text(path, source, options.limits);
  IndexReceiver receiver(source, options.limits);
  receiver.read(text);
  return receiver.result();
}

}  // namespace coppice
