#include <nlohmann/json.hpp>

#include <map>
#include <set>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/sharded.h"

namespace coppice {
namespace {

/// Receives the parser's events; only the members of the top object's "weight_map" are kept.
class IndexHandler {
 public:
  IndexHandler(const Source& source, const Limits& limits) : source_(source), limits_(limits) {}

  // The names and signatures are those of nlohmann::json_sax.
  bool null() { return scalar("null"); }
  bool boolean(bool) { return scalar("a boolean"); }
  bool number_integer(std::int64_t value) { return scalar(cat("the number ", value)); }
  bool number_unsigned(std::uint64_t value) { return scalar(cat("the number ", value)); }
  bool number_float(double, const std::string& text) { return scalar("the number " + quote(text)); }
  bool binary(std::vector<std::uint8_t>&) { return scalar("binary data"); }
  bool string(std::string& text) {
    if (depth_ != 2 || !in_map_) return scalar(quote(text));
    check_shard(text);
    const auto [place, is_new] = shards_.try_emplace(text, index_.shards.size());
    if (is_new && index_.shards.size() == limits_.shards)
      source_.exceeded("shards", "files that the index names", limits_.shards, limits_.shards + 1);
    if (is_new) index_.shards.push_back(text);
    index_.tensors.emplace_back(key_, place->second);
    return true;
  }
  bool key(std::string& text) {
    if (depth_ == 1) {
      if (text == "weight_map" && has_map_) source_.reject("\"weight_map\" stands twice");
      has_map_ = has_map_ || text == "weight_map";
      at_map_ = text == "weight_map";
    } else if (depth_ == 2 && in_map_) {
      if (text.size() > limits_.name_bytes)
        source_.exceeded("name_bytes", "bytes of a name", limits_.name_bytes, text.size());
      if (text.find('\0') != text.npos) source_.reject("weight_map: name ", quote(text), " contains NUL");
      if (!names_.insert(text).second) source_.reject("weight_map: name ", quote(text), " stands twice");
      if (names_.size() > limits_.tensors)
        source_.exceeded("tensors", "tensors of the index", limits_.tensors, names_.size());
      key_ = text;
    }
    return true;
  }
  bool start_object(std::size_t) {
    if (in_map_ && depth_ == 2) refuse("an object");
    if (depth_ == 1) in_map_ = at_map_;
    return deeper();
  }
  bool end_object() {
    if (--depth_ == 1) in_map_ = false;
    return true;
  }
  bool start_array(std::size_t) {
    if (depth_ == 0) source_.reject("an index must be an object; it is an array");
    if (depth_ == 1 && at_map_) source_.reject("\"weight_map\" must be an object; it is an array");
    if (in_map_ && depth_ == 2) refuse("an array");
    return deeper();
  }
  bool end_array() {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) {
    const JsonComplaint complaint = json_complaint(position, error.what());
    source_.reject_at(complaint.byte, "the index must be JSON: ", complaint.reason);
  }

  ShardIndex result() {
    if (!has_map_) source_.reject("the file is no index of shards: it has no \"weight_map\"");
    return std::move(index_);
  }

 private:
  bool deeper() {
    if (++depth_ > limits_.nesting) source_.exceeded("nesting", "depth of the index", limits_.nesting, depth_);
    return true;
  }
  bool scalar(const std::string& what) {
    if (depth_ == 0) source_.reject("an index must be an object; it is ", what);
    if (depth_ == 1 && at_map_) source_.reject("\"weight_map\" must be an object; it is ", what);
    if (depth_ == 2 && in_map_) refuse(what);
    return true;
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
    if (!name.ends_with(".safetensors")) reject("end in .safetensors");
  }

  const Source& source_;
  const Limits& limits_;
  ShardIndex index_;
  std::map<std::string, std::size_t> shards_;
  std::set<std::string> names_;
  std::string key_;
  std::uint64_t depth_ = 0;
  bool has_map_ = false;  // seen
  bool at_map_ = false;   // the last key of the top object was "weight_map"
  bool in_map_ = false;
};

}  // namespace

ShardIndex read_shard_index(const std::filesystem::path& path, const ReadOptions& options) {
  const Source source{"read_sharded", path.string()};
  const std::string text = read_text(path, source, options.limits);
  // The parser would skip a byte order mark and take NUL for the end of the text.
  if (const auto nul = text.find('\0'); nul != text.npos) source.reject_at(nul, "the index contains NUL");
  if (text.starts_with("\xEF\xBB\xBF"))
    source.reject_at(0, "the index must begin with '{'; it begins with a byte order mark");
  IndexHandler handler(source, options.limits);
  (void)nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
  return handler.result();
}

}  // namespace coppice
