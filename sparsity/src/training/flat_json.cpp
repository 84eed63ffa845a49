#include "flat_json.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

namespace coppice::sparsity {
namespace {

constexpr std::size_t kLongest = 4096;

/// Receives the parser's events.
class Members {
 public:
  Members(std::string_view what, const Source& source) : what_(what), source_(source) {}

  // The names and signatures are those of nlohmann::json_sax.
  bool null() { return put("null"); }
  bool boolean(bool value) { return put(value ? "true" : "false"); }
  bool number_integer(std::int64_t value) { return put(json_number(value)); }
  bool number_unsigned(std::uint64_t value) { return put(json_number(value)); }
  bool number_float(double value, const std::string&) { return put(json_number(value)); }
  bool string(std::string& value) { return put(json_word(printable(value))); }
  bool binary(std::vector<std::uint8_t>&) { return put("binary data"); }
  bool key(std::string& text) {
    (depth_ == 1 ? outer_ : inner_) = text;
    return true;
  }
  bool start_object(std::size_t) {
    if (depth_ == 2) source_.reject(what_, ": ", quote(path()), " must not be an object: the text has two levels");
    if (depth_ == 1) put("{}");
    ++depth_;
    return true;
  }
  bool end_object() {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) {
    source_.reject(what_, ": ", depth_ == 0 ? "the text" : quote(path()), " must not be a list");
  }
  bool end_array() { return true; }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) {
    const JsonComplaint complaint = json_complaint(position, error.what());
    source_.reject(what_, ", byte ", complaint.byte, ": must be JSON: ", complaint.reason);
  }

  std::map<std::string, std::string> all;

 private:
  [[nodiscard]] std::string path() const { return depth_ < 2 ? outer_ : cat(outer_, '.', inner_); }
  bool put(const std::string& text) {
    if (depth_ == 0) source_.reject(what_, " must be an object; it is ", quote(text));
    if (!all.emplace(path(), text).second) source_.reject(what_, ": key ", quote(path()), " stands twice");
    return true;
  }

  std::string_view what_;
  const Source& source_;
  std::string outer_, inner_;
  int depth_ = 0;
};

}  // namespace

std::map<std::string, std::string> read_flat_json(std::string_view text, std::string_view what, const Source& source) {
  if (text.size() > kLongest) source.reject(what, " must have at most ", kLongest, " bytes; it has ", text.size());
  // The parser would take NUL for the end of the text.
  if (const auto nul = text.find('\0'); nul != text.npos) source.reject(what, ", byte ", nul, ": must not be NUL");
  Members reader(what, source);
  (void)nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  return std::move(reader.all);
}

}  // namespace coppice::sparsity
