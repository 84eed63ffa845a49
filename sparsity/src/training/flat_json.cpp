#include "flat_json.h"

#include <utility>

#include "coppice/engine/io/json.h"

namespace coppice::sparsity {
namespace {

constexpr std::size_t kLongest = 4096;

class MemberReceiver final : public JsonReceiver {
 public:
  MemberReceiver(std::string_view what, const Source& source) : what_(what), source_(source) {}
  std::map<std::string, std::string> all;

 private:
  void scalar(JsonScalar value) override {
    if (auto* text = std::get_if<std::string>(&value)) *text = printable(*text);
    const std::string text = json_text(value);
    if (depth() == 0) source_.reject(what_, " must be an object; it is ", quote(text));
    put(text);
  }
  void key(const std::string& text) override { (depth() == 1 ? outer_ : inner_) = text; }
  void twice(const std::string& text) override {
    key(text);
    put(text);  // stands there already
  }
  void open(bool list) override {
    if (list) source_.reject(what_, ": ", depth() == 0 ? "the text" : quote(path()), " must not be a list");
    if (depth() == 2) source_.reject(what_, ": ", quote(path()), " must not be an object: the text has two levels");
    if (depth() == 1) put("{}");
  }
  void close(bool) override {}
  void malformed(std::uint64_t byte, const std::string& rule) override {
    source_.reject(what_, ", byte ", byte, ": ", rule);
  }

  /// Also "a.b" beside the member b of an object a is twice the same.
  void put(const std::string& text) {
    if (!all.emplace(path(), text).second) source_.reject(what_, ": key ", quote(path()), " stands twice");
  }
  [[nodiscard]] std::string path() const { return depth() < 2 ? outer_ : cat(outer_, '.', inner_); }

  std::string_view what_;
  const Source& source_;
  std::string outer_, inner_;
};

}  // namespace

std::map<std::string, std::string> read_flat_json(std::string_view text, std::string_view what, const Source& source) {
  if (text.size() > kLongest) source.reject(what, " must have at most ", kLongest, " bytes; it has ", text.size());
  MemberReceiver receiver(what, source);
  receiver.read(text);
  return std::move(receiver.all);
}

}  // namespace coppice::sparsity
