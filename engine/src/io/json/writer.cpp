#include <cmath>
#include <nlohmann/json.hpp>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/json.h"

namespace coppice {

/// A comma, unless a container or a key stands directly before.
void JsonWriter::separate() {
  if (!out_.empty() && out_.back() != '{' && out_.back() != '[' && out_.back() != ':') out_ += ',';
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  out_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  out_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::piece(std::string_view text) {
  separate();
  out_ += text;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view text) {
  value(text);
  out_ += ':';
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  if (!is_utf8(text)) throw ValueError(cat("[json] texts must be UTF-8; got ", quote(text)));
  return piece(nlohmann::json(text).dump());
}

JsonWriter& JsonWriter::real(double number) {
  if (!std::isfinite(number)) throw ValueError(cat("[json] numbers must be finite; got ", number));
  std::string text = cat(number);
  if (text.find_first_of(".e") == text.npos) text += ".0";
  return piece(text);
}

JsonWriter& JsonWriter::whole(std::int64_t number) { return piece(cat(number)); }
JsonWriter& JsonWriter::whole(std::uint64_t number) { return piece(cat(number)); }

std::string json_text(const JsonScalar& value) {
  JsonWriter out;
  std::visit(
      [&out]<class T>(const T& v) {
        if constexpr (std::is_same_v<T, JsonReal>)
          out.value(v.value);
        else if constexpr (std::is_same_v<T, std::string>)
          out.value(std::string_view(v));
        else
          out.value(v);
      },
      value);
  return out.text();
}

}  // namespace coppice
