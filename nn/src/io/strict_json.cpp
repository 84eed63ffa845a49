#include "io/strict_json.h"

#include <algorithm>
#include <set>
#include <vector>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"

namespace coppice::nn {
namespace {

using json = nlohmann::ordered_json;

// No object of ours comes near; the ordered objects of the JSON library find a key by a walk over all of them.
constexpr std::size_t kMostKeys = 1000;
// Whatever the caller allows: those who walk over the document call themselves for every level.
constexpr std::uint64_t kDeepest = 1000;

/// Builds the document from the parser's events.
///
/// A container is made when its last value is known. The library's ordered objects copy their values when they grow,
/// and its destructors take memory: neither happens here, so that running out of memory at any moment is an exception.
class Handler {
 public:
  Handler(JsonDocument& root, const std::string& source, const Limits& limits)
      : root_(root), source_(source), depth_(std::min(limits.nesting, kDeepest)), most_values_(limits.objects) {}
  ~Handler() {
    for (Open& open : open_) {
      for (json& item : open.items) JsonDocument::take_apart(item);
      for (auto& [key, value] : open.members) JsonDocument::take_apart(value);
    }
  }
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;

  // The names and signatures are those of nlohmann::json_sax.
  bool null() { return place(nullptr); }
  bool boolean(bool value) { return place(value); }
  bool number_integer(std::int64_t value) { return place(value); }
  bool number_unsigned(std::uint64_t value) { return place(value); }
  bool number_float(double value, const std::string&) { return place(value); }
  bool string(std::string& value) { return place(std::move(value)); }
  bool binary(std::vector<std::uint8_t>&) { return false; }  // not in JSON

  bool start_object(std::size_t) { return open(json::value_t::object); }
  bool end_object() { return close(); }
  bool start_array(std::size_t) { return open(json::value_t::array); }
  bool end_array() { return close(); }

  bool key(std::string& text) {
    std::set<std::string>& seen = open_.back().keys;
    if (seen.size() == kMostKeys)
      throw LimitError(cat("[json] ", source_, ": an object has more than ", kMostKeys, " keys"));
    if (!seen.insert(text).second)
      throw FormatError(cat("[json] ", source_, ": key ", quote(text), " appears twice in an object"));
    open_.back().key = text;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) {
    const JsonComplaint complaint = json_complaint(position, error.what());
    throw FormatError(cat("[json] ", source_, ", byte ", complaint.byte, ": must be JSON: ", complaint.reason));
  }

 private:
  struct Open {
    json::value_t kind;
    json::array_t items = {};                                // of a list: 16 bytes each, a third of a member
    std::vector<std::pair<std::string, json>> members = {};  // of an object
    std::set<std::string> keys = {};
    std::string key = {};
  };

  /// The place of the next value below that many open containers, null so far.
  json& slot_of(std::size_t level) {
    if (level == 0) return *root_;
    Open& parent = open_[level - 1];
    if (parent.kind == json::value_t::array) return parent.items.emplace_back(nullptr);
    return parent.members.emplace_back(parent.key, nullptr).second;
  }
  /// Every value takes many times its text: 16 MB of empty lists took 0.7 GB.
  void count() {
    if (++values_ > most_values_)
      throw LimitError(cat("[json] ", source_, ": values must be at most ", most_values_, "; got ", values_,
                           " (raise Limits::objects)"));
  }
  template <class T>
  bool place(T&& value) {
    count();
    slot_of(open_.size()) = json(std::forward<T>(value));
    return true;
  }
  bool open(json::value_t kind) {
    if (open_.size() == depth_)
      throw LimitError(cat("[json] ", source_, ": nested deeper than ", depth_, " levels; got ", open_.size() + 1,
                           " (raise Limits::nesting)"));
    count();
    open_.push_back({kind});
    return true;
  }
  bool close() {
    Open& done = open_.back();
    json& target = slot_of(open_.size() - 1);
    target = json(done.kind);
    if (done.kind == json::value_t::array) {
      target.get_ref<json::array_t&>().swap(done.items);
    } else {
      auto& members = target.get_ref<json::object_t&>();
      members.reserve(done.members.size());
      for (auto& [key, value] : done.members) members.emplace_back(std::move(key), std::move(value));
    }
    open_.pop_back();
    return true;
  }

  JsonDocument& root_;
  const std::string& source_;
  std::uint64_t depth_;
  std::uint64_t most_values_;
  std::uint64_t values_ = 0;
  std::vector<Open> open_;
};

}  // namespace

/// From the leaves up, so that every container is empty when it is destroyed.
void JsonDocument::take_apart(json& value) noexcept {
  if (value.is_array()) {
    auto& items = value.get_ref<json::array_t&>();
    for (json& item : items) take_apart(item);
    items.clear();
  } else if (value.is_object()) {
    auto& members = value.get_ref<json::object_t&>();
    for (auto& member : members) take_apart(member.second);
    members.clear();
  }
}

JsonDocument parse_strict(std::string_view text, const std::string& source, const Limits& limits) {
  // The parser would take NUL for the end of the text.
  if (const auto nul = text.find('\0'); nul != text.npos)
    throw FormatError(cat("[json] ", source, ": byte ", nul, " is NUL"));
  JsonDocument document;
  Handler handler(document, source, limits);
  (void)json::sax_parse(text.begin(), text.end(), &handler);
  return document;
}

}  // namespace coppice::nn
