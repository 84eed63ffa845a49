#include "io/safetensors_json.h"

#include <nlohmann/json.hpp>

#include <set>

namespace coppice {
namespace {

constexpr std::uint64_t kHeaderAt = 8;                            // first byte of the JSON in the file
constexpr std::uint64_t kLargest = (std::uint64_t{1} << 48) - 1;  // JSON schema of the safetensors repository

/// Receives the parser's events. A place in the document is where_; each event must be one that this place takes.
class HeaderHandler {
 public:
  HeaderHandler(RawHeader& header, const Source& source, const Limits& limits)
      : header_(header), source_(source), limits_(limits) {}

  // The names and signatures are those of nlohmann::json_sax.
  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a boolean"); }
  bool number_integer(std::int64_t) { return unexpected("a negative number"); }
  bool number_float(double, const std::string& text) { return unexpected("the number " + quote(text)); }
  bool binary(std::vector<std::uint8_t>&) { return unexpected("binary data"); }

  bool number_unsigned(std::uint64_t value) {
    if (where_ != Where::shape && where_ != Where::offsets) return unexpected("a number");
    if (value > kLargest) refuse("must be below 2^48; got ", value);
    auto& list = where_ == Where::shape ? entry().shape : entry().offsets;
    if (where_ == Where::shape && list.size() == limits_.rank)
      source_.exceeded("rank", cat("axes of tensor ", quote(entry().name)), limits_.rank, list.size() + 1);
    if (where_ == Where::offsets && list.size() == 2) refuse("must be two numbers, begin and end; there is a third");
    list.push_back(value);
    return true;
  }

  bool string(std::string& text) {
    if (where_ == Where::metadata_value) {
      header_.metadata[key_] = text;
      where_ = Where::metadata;
      return true;
    }
    if (where_ != Where::dtype) return unexpected("a text");
    entry().dtype = text;
    where_ = Where::tensor;
    return true;
  }

  bool key(std::string& text) {
    if (text.size() > limits_.name_bytes)
      source_.exceeded("name_bytes", cat("bytes of the name ", quote(text)), limits_.name_bytes, text.size());
    if (text.find('\0') != text.npos) source_.reject_at(kHeaderAt, "name ", quote(text), " contains NUL");
    key_ = text;
    if (where_ == Where::tensors) {
      if (!names_.insert(text).second)
        source_.reject_at(kHeaderAt, "name ", quote(text), " stands twice in the header");
      if (text == "__metadata__") {
        where_ = Where::metadata_start;
        return true;
      }
      if (header_.entries.size() == limits_.tensors)
        source_.exceeded("tensors", "tensors in the header", limits_.tensors, header_.entries.size() + 1);
      header_.entries.emplace_back().name = text;
      where_ = Where::tensor_start;
    } else if (where_ == Where::metadata) {
      if (header_.metadata.contains(text)) refuse("stands twice");
      where_ = Where::metadata_value;
    } else {
      tensor_key(text);
    }
    return true;
  }

  bool start_object(std::size_t) {
    if (where_ == Where::document)
      where_ = Where::tensors;
    else if (where_ == Where::tensor_start)
      where_ = Where::tensor;
    else if (where_ == Where::metadata_start)
      where_ = Where::metadata;
    else
      return unexpected("an object");
    return true;
  }
  bool end_object() {
    if (where_ == Where::tensor) {
      key_ = entry().name;
      if (entry().dtype.empty() || !entry().has_shape || !entry().has_offsets)
        source_.reject_at(kHeaderAt, "tensor ", quote(key_), " must have dtype, shape and data_offsets");
      if (entry().offsets.size() != 2)
        source_.reject_at(kHeaderAt, "tensor ", quote(key_), ": data_offsets must be two numbers; got ",
                          entry().offsets.size());
    }
    where_ = where_ == Where::tensors ? Where::end : Where::tensors;
    return true;
  }
  bool start_array(std::size_t) {
    if (where_ == Where::shape_start)
      where_ = Where::shape;
    else if (where_ == Where::offsets_start)
      where_ = Where::offsets;
    else
      return unexpected("an array");
    return true;
  }
  bool end_array() {
    where_ = Where::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) {
    const JsonComplaint complaint = json_complaint(position, error.what());
    source_.reject_at(kHeaderAt + complaint.byte, "the header must be JSON: ", complaint.reason);
  }

 private:
  enum class Where {
    document,
    tensors,
    metadata_start,
    metadata,
    metadata_value,
    tensor_start,
    tensor,
    dtype,
    shape_start,
    shape,
    offsets_start,
    offsets,
    end
  };

  RawEntry& entry() { return header_.entries.back(); }

  void tensor_key(const std::string& text) {
    const bool first = text == "dtype"   ? !std::exchange(entry().has_dtype, true)
                       : text == "shape" ? !std::exchange(entry().has_shape, true)
                       : text == "data_offsets"
                           ? !std::exchange(entry().has_offsets, true)
                           : (refuse("is unknown; dtype, shape and data_offsets are known"), false);
    if (!first) refuse("stands twice");
    where_ = text == "dtype" ? Where::dtype : text == "shape" ? Where::shape_start : Where::offsets_start;
  }

  [[nodiscard]] bool in_tensor() const { return where_ >= Where::tensor && where_ <= Where::offsets; }

  template <class... Text>
  [[noreturn]] void refuse(const Text&... text) {
    if (in_tensor()) source_.reject_at(kHeaderAt, "tensor ", quote(entry().name), ": ", quote(key_), " ", text...);
    source_.reject_at(kHeaderAt, "metadata ", quote(key_), " ", text...);
  }

  bool unexpected(const std::string& what) {
    switch (where_) {
      case Where::document: source_.reject_at(kHeaderAt, "the header must be an object; it is ", what);
      case Where::tensor_start:
        source_.reject_at(kHeaderAt, "tensor ", quote(key_), " must be an object; it is ", what);
      case Where::metadata_start: source_.reject_at(kHeaderAt, "__metadata__ must be an object; it is ", what);
      case Where::metadata_value: refuse("must be a text; it is ", what);
      case Where::dtype: refuse("must be a text; it is ", what);
      case Where::shape_start:
      case Where::offsets_start: refuse("must be an array; it is ", what);
      default: refuse("must be whole numbers of at least 0; it holds ", what);
    }
  }

  RawHeader& header_;
  const Source& source_;
  const Limits& limits_;
  Where where_ = Where::document;
  std::string key_;
  std::set<std::string> names_;
};

}  // namespace

RawHeader parse_safetensors_json(std::string_view json, const Source& source, const Limits& limits) {
  // The parser would skip a byte order mark and take NUL for the end of the text.
  const std::size_t first = json.find_first_not_of(" \t\r\n");
  if (first == json.npos || json[first] != '{')
    source.reject_at(kHeaderAt, "the header must begin with '{'; it begins with ",
                     quote(first == json.npos ? "" : json.substr(first, 1)));
  if (const auto nul = json.find('\0'); nul != json.npos) source.reject_at(kHeaderAt + nul, "the header contains NUL");
  RawHeader header;
  HeaderHandler handler(header, source, limits);
  (void)nlohmann::json::sax_parse(json.begin(), json.end(), &handler);
  return header;
}

std::string json_string(std::string_view text, const char* op) {
  if (!is_utf8(text)) throw ValueError(cat("[", op, "] names and metadata must be UTF-8; got ", quote(text)));
  return nlohmann::json(text).dump();
}

}  // namespace coppice
