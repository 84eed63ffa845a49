#include "io/safetensors/header.h"

#include <utility>

#include "coppice/engine/io/json.h"

namespace coppice {
namespace {

constexpr std::uint64_t kHeaderAt = 8;                            // first byte of the JSON in the file
constexpr std::uint64_t kLargest = (std::uint64_t{1} << 48) - 1;  // JSON schema of the safetensors repository

/// A place in the document is where_; each event must be one that this place takes.
class HeaderReceiver final : public JsonReceiver {
 public:
  HeaderReceiver(RawHeader& header, const Source& source, const Limits& limits)
      : header_(header), source_(source), limits_(limits) {}

 private:
  void scalar(JsonScalar value) override {
    if (where_ == Where::metadata_start && std::holds_alternative<std::nullptr_t>(value)) {
      where_ = Where::tensors;  // an Option of the reference implementation that is None
      return;
    }
    if (const auto* number = std::get_if<std::uint64_t>(&value)) return size(*number);
    auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) unexpected(std::holds_alternative<std::int64_t>(value) ? "a negative number" : shown(value));
    if (where_ == Where::metadata_value) {
      header_.metadata[key_] = std::move(*text);
      where_ = Where::metadata;
      return;
    }
    if (where_ != Where::dtype) unexpected("a text");
    entry().dtype = std::move(*text);
    where_ = Where::tensor;
  }

  void size(std::uint64_t value) {
    if (where_ != Where::shape && where_ != Where::offsets) unexpected("a number");
    if (value > kLargest) refuse("must be below 2^48; got ", value);
    auto& list = where_ == Where::shape ? entry().shape : entry().offsets;
    if (where_ == Where::shape && list.size() == limits_.rank)
      source_.exceeded("rank", cat("axes of tensor ", quote(entry().name)), limits_.rank, list.size() + 1);
    if (where_ == Where::offsets && list.size() == 2) refuse("must be two numbers, begin and end; there is a third");
    list.push_back(value);
  }

  void check_name(const std::string& text) const {
    if (text.size() > limits_.name_bytes)
      source_.exceeded("name_bytes", cat("bytes of the name ", quote(text)), limits_.name_bytes, text.size());
    if (text.find('\0') != text.npos) source_.reject_at(kHeaderAt, "name ", quote(text), " contains NUL");
  }

  void key(const std::string& text) override {
    check_name(text);
    key_ = text;
    if (where_ == Where::tensors) {
      if (text == "__metadata__") {
        where_ = Where::metadata_start;
        return;
      }
      if (header_.entries.size() == limits_.tensors)
        source_.exceeded("tensors", "tensors in the header", limits_.tensors, header_.entries.size() + 1);
      header_.entries.emplace_back().name = text;
      where_ = Where::tensor_start;
    } else if (where_ == Where::metadata) {
      where_ = Where::metadata_value;
    } else {
      tensor_key(text);
    }
  }

  void twice(const std::string& text) override {
    check_name(text);
    key_ = text;
    if (where_ == Where::tensors) source_.reject_at(kHeaderAt, "name ", quote(text), " stands twice in the header");
    refuse("stands twice");
  }

  void open(bool list) override {
    if (list) {
      if (where_ == Where::shape_start)
        where_ = Where::shape;
      else if (where_ == Where::offsets_start)
        where_ = Where::offsets;
      else
        unexpected("an array");
    } else if (where_ == Where::document) {
      where_ = Where::tensors;
    } else if (where_ == Where::tensor_start) {
      where_ = Where::tensor;
    } else if (where_ == Where::metadata_start) {
      where_ = Where::metadata;
    } else {
      unexpected("an object");
    }
  }

  void close(bool list) override {
    if (list) {
      where_ = Where::tensor;
      return;
    }
    if (where_ == Where::tensor) {
      key_ = entry().name;
      if (entry().dtype.empty() || !entry().has_shape || !entry().has_offsets)
        source_.reject_at(kHeaderAt, "tensor ", quote(key_), " must have dtype, shape and data_offsets");
      if (entry().offsets.size() != 2)
        source_.reject_at(kHeaderAt, "tensor ", quote(key_), ": data_offsets must be two numbers; got ",
                          entry().offsets.size());
    }
    where_ = where_ == Where::tensors ? Where::end : Where::tensors;
  }

  void malformed(std::uint64_t byte, const std::string& rule) override {
    source_.reject_at(kHeaderAt + byte, "the header ", rule);
  }

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
    if (text == "dtype") {
      where_ = Where::dtype;
    } else if (text == "shape") {
      entry().has_shape = true;
      where_ = Where::shape_start;
    } else if (text == "data_offsets") {
      entry().has_offsets = true;
      where_ = Where::offsets_start;
    } else {
      refuse("is unknown; dtype, shape and data_offsets are known");
    }
  }

  [[nodiscard]] bool in_tensor() const { return where_ >= Where::tensor && where_ <= Where::offsets; }

  template <class... Text>
  [[noreturn]] void refuse(const Text&... text) {
    if (in_tensor()) source_.reject_at(kHeaderAt, "tensor ", quote(entry().name), ": ", quote(key_), " ", text...);
    source_.reject_at(kHeaderAt, "metadata ", quote(key_), " ", text...);
  }

  [[noreturn]] void unexpected(const std::string& what) {
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
};

}  // namespace

RawHeader parse_safetensors_json(std::string_view json, const Source& source, const Limits& limits) {
  const std::size_t first = json.find_first_not_of(" \t\r\n");
  if (first == json.npos || json[first] != '{')
    source.reject_at(kHeaderAt, "the header must begin with '{'; it begins with ",
                     quote(first == json.npos ? "" : json.substr(first, 1)));
  RawHeader header;
  HeaderReceiver(header, source, limits).read(json);
  return header;
}

}  // namespace coppice
