#include "coppice/sparsity/sparsifier/config_file.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/json.h"
#include "coppice/engine/io/mapped_file.h"

namespace coppice::sparsity {
namespace {

enum class Kind { text, number, whole, boolean, sides };

struct Key {
  const char* name;
  Kind kind;
};
constexpr std::array<Key, 7> kKeys{{{"tensor_fqn", Kind::text},
                                    {"module_fqn", Kind::text},
                                    {"tensor_name", Kind::text},
                                    {"sparsity_level", Kind::number},
                                    {"sparse_block_shape", Kind::sides},
                                    {"zeros_per_block", Kind::whole},
                                    {"score_dense", Kind::boolean}}};

/// A whole number that fits, or nothing.
std::optional<std::int64_t> whole(const JsonScalar& value) {
  if (const auto* n = std::get_if<std::int64_t>(&value)) return *n;
  const auto* n = std::get_if<std::uint64_t>(&value);
  if (n == nullptr || *n > INT64_MAX) return std::nullopt;
  return static_cast<std::int64_t>(*n);
}

/// List > group > value, which is a scalar or a list of them.
class GroupReceiver final : public JsonReceiver {
 public:
  explicit GroupReceiver(const Source& source) : source_(source) {}
  SparsifierConfig all;

 private:
  void open(bool list) override {
    switch (depth()) {
      case 0:
        if (!list) source_.reject("the text must be a list of groups; it is an object");
        return;
      case 1:
        if (list) source_.reject("group ", all.size(), " must be an object; it is a list");
        group_ = Arguments();
        return;
      case 2:
        if (!list || key_->kind != Kind::sides) wrong(list ? "a list" : "an object");
        sides_.emplace();
        return;
      default: wrong(list ? "a list within a list" : "an object within a list");
    }
  }

  void close(bool list) override {
    if (sides_) {
      if (sides_->size() != 2) wrong(cat(sides_->size(), " numbers"));
      group_.set(key_->name, std::move(*sides_));
      sides_.reset();
    } else if (!list) {
      finish();
    }
  }

  void key(const std::string& text) override {
    const auto* found = std::ranges::find_if(kKeys, [&](const Key& k) { return text == k.name; });
    if (found == kKeys.end()) {
      std::string names;
      for (const Key& k : kKeys) names += cat(names.empty() ? "" : ", ", k.name);
      source_.reject("group ", all.size(), " has a key ", quote(text), "; there are ", names);
    }
    key_ = found;
  }
  void twice(const std::string& text) override {
    source_.reject("group ", all.size(), " has the key ", quote(text), " twice");
  }
  void malformed(std::uint64_t byte, const std::string& rule) override {
    source_.reject_at(byte, "the list of groups ", rule);
  }

  void scalar(JsonScalar value) override {
    if (depth() == 0) source_.reject("the text must be a list of groups; it is ", shown(value));
    if (depth() == 1) source_.reject("group ", all.size(), " must be an object; it is ", shown(value));
    if (sides_) {
      const std::optional<std::int64_t> side = whole(value);
      if (!side || *side < 1) wrong(shown(value));
      return sides_->push_back(*side);
    }
    if (std::holds_alternative<std::nullptr_t>(value)) return;
    if (auto read = argument(value))
      group_.set(key_->name, std::move(*read));
    else
      wrong(shown(value));
  }

  /// Of the kind that the key asks for, or nothing.
  [[nodiscard]] std::optional<Argument> argument(const JsonScalar& value) const {
    switch (key_->kind) {
      case Kind::text:
        if (const auto* text = std::get_if<std::string>(&value)) return *text;
        break;
      case Kind::boolean:
        if (const auto* on = std::get_if<bool>(&value)) return *on;
        break;
      case Kind::whole:
        if (const auto n = whole(value); n && *n >= 0) return *n;
        break;
      case Kind::number: {
        const auto n = whole(value);
        const auto* real = std::get_if<JsonReal>(&value);
        const double level = n ? static_cast<double>(*n) : real != nullptr ? real->value : -1;
        if (level >= 0 && level <= 1) return level;
        break;
      }
      case Kind::sides: break;
    }
    return std::nullopt;
  }

  [[nodiscard]] static const char* rule(Kind kind) {
    switch (kind) {
      case Kind::text: return "a text";
      case Kind::boolean: return "true or false";
      case Kind::whole: return "a whole number of at least 0";
      case Kind::number: return "a number in 0..1";
      case Kind::sides: break;
    }
    return "a list of two whole numbers of at least 1";
  }

  [[noreturn]] void wrong(const std::string& found) const {
    source_.reject("group ", all.size(), ", key ", quote(key_->name), ": must be ", rule(key_->kind), "; it is ",
                   found);
  }

  /// The rules between keys.
  void finish() {
    if (!group_.has("tensor_fqn")) source_.reject("group ", all.size(), " has no key 'tensor_fqn'");
    std::string name = group_.text("tensor_fqn");
    if (name.starts_with('.')) group_.set("tensor_fqn", name = name.substr(1));  // the same tensor
    if (!names_.insert(name).second)
      source_.reject("group ", all.size(), ", key 'tensor_fqn': ", quote(name), " stands twice");
    if (group_.has("sparse_block_shape")) {
      try {
        const Block block = read_sparse_block_shape(group_);
        if (group_.integer("zeros_per_block", 0) > block.size())
          source_.reject("group ", all.size(), ", key 'zeros_per_block': must be in 0..", block.size(), " (block ",
                         block, "); it is ", group_.integer("zeros_per_block"));
      } catch (const ValueError& e) {
        source_.reject("group ", all.size(), ", key 'sparse_block_shape': ", e.what());
      }
    }
    all.push_back(std::move(group_));
  }

  const Source& source_;
  const Key* key_ = nullptr;
  Arguments group_;
  std::optional<std::vector<std::int64_t>> sides_;
  std::set<std::string> names_;
};

}  // namespace

SparsifierConfig parse_sparsifier_config(std::string_view text, const std::string& file) {
  const Source source{"sparsifier_config", file};
  GroupReceiver receiver(source);
  receiver.read(text);
  if (receiver.all.empty()) source.reject("the list of groups is empty");
  return std::move(receiver.all);
}

SparsifierConfig read_sparsifier_config(const std::filesystem::path& path, const Limits& limits) {
  return parse_sparsifier_config(read_text(path, Source{"sparsifier_config", path.string()}, limits), path.string());
}

}  // namespace coppice::sparsity
