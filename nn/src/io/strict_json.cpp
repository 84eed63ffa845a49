#include "io/strict_json.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/engine/io/json.h"

namespace coppice::nn {
namespace {

using json = nlohmann::ordered_json;

// No object of ours comes near; the ordered objects of the JSON library find a key by a walk over all of them.
constexpr std::size_t kMostKeys = 1000;
// Whatever the caller allows: those who walk over the document call themselves for every level.
constexpr std::uint64_t kDeepest = 1000;

/// Builds the document.
///
/// A container is made when its last value is known. The library's ordered objects copy their values when they grow,
/// and its destructors take memory: neither happens here, so that running out of memory at any moment is an exception.
class DocumentReceiver final : public JsonReceiver {
 public:
  DocumentReceiver(JsonDocument& root, const std::string& source, const Limits& limits)
      : root_(root), source_(source), depth_(std::min(limits.nesting, kDeepest)), most_values_(limits.objects) {}
  ~DocumentReceiver() override {
    for (Open& open : building_) {
      for (json& item : open.items) JsonDocument::take_apart(item);
      for (auto& [key, value] : open.members) JsonDocument::take_apart(value);
    }
  }
  DocumentReceiver(const DocumentReceiver&) = delete;
  DocumentReceiver& operator=(const DocumentReceiver&) = delete;

 private:
  void scalar(JsonScalar value) override {
    count();
    json& slot = slot_of(building_.size());
    std::visit(
        [&slot]<class T>(T& v) {
          if constexpr (std::is_same_v<T, JsonReal>)
            slot = v.value;
          else
            slot = std::move(v);
        },
        value);
  }
  void key(const std::string& text) override {
    if (building_.back().members.size() == kMostKeys)
      throw LimitError(cat("[json] ", source_, ": an object has more than ", kMostKeys, " keys"));
    building_.back().key = text;
  }
  void twice(const std::string& text) override {
    throw FormatError(cat("[json] ", source_, ": key ", quote(text), " appears twice in an object"));
  }
  void open(bool list) override {
    if (building_.size() == depth_)
      throw LimitError(cat("[json] ", source_, ": nested deeper than ", depth_, " levels; got ", building_.size() + 1,
                           " (raise Limits::nesting)"));
    count();
    building_.push_back({list ? json::value_t::array : json::value_t::object});
  }
  void close(bool) override {
    Open& done = building_.back();
    json& target = slot_of(building_.size() - 1);
    target = json(done.kind);
    if (done.kind == json::value_t::array) {
      target.get_ref<json::array_t&>().swap(done.items);
    } else {
      auto& members = target.get_ref<json::object_t&>();
      members.reserve(done.members.size());
      for (auto& [key, value] : done.members) members.emplace_back(std::move(key), std::move(value));
    }
    building_.pop_back();
  }
  void malformed(std::uint64_t byte, const std::string& rule) override {
    throw FormatError(cat("[json] ", source_, ", byte ", byte, ": ", rule));
  }

  struct Open {
    json::value_t kind;
    json::array_t items = {};                                // of a list: 16 bytes each, a third of a member
    std::vector<std::pair<std::string, json>> members = {};  // of an object
    std::string key = {};
  };

  /// The place of the next value below that many open containers, null so far.
  json& slot_of(std::size_t level) {
    if (level == 0) return *root_;
    Open& parent = building_[level - 1];
    if (parent.kind == json::value_t::array) return parent.items.emplace_back(nullptr);
    return parent.members.emplace_back(parent.key, nullptr).second;
  }
  /// Every value takes many times its text: 16 MB of empty lists took 0.7 GB.
  void count() {
    if (++values_ > most_values_)
      throw LimitError(cat("[json] ", source_, ": values must be at most ", most_values_, "; got ", values_,
                           " (raise Limits::objects)"));
  }
  JsonDocument& root_;
  const std::string& source_;
  std::uint64_t depth_;
  std::uint64_t most_values_;
  std::uint64_t values_ = 0;
  std::vector<Open> building_;
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
  JsonDocument document;
  DocumentReceiver(document, source, limits).read(text);
  return document;
}

}  // namespace coppice::nn
