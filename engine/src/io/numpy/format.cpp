#include "io/numpy/format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "io/file/place.h"

// Source: numpy/lib/format.py. The header is a Python literal; the grammar here knows dictionaries of three keys only.
namespace coppice {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::uint64_t kLongestHeader = 10'000;  // as NumPy's max_header_size

struct NpyDtype {
  std::string_view code;
  std::optional<Dtype> dtype;
};
constexpr std::array<NpyDtype, 17> kNpyDtypes{{
    {"b1", Dtype::boolean},
    {"i1", Dtype::i8},
    {"u1", Dtype::u8},
    {"i2", Dtype::i16},
    {"i4", Dtype::i32},
    {"i8", Dtype::i64},
    {"f2", Dtype::f16},
    {"f4", Dtype::f32},
    {"f8", Dtype::f64},
    {"u2", {}},
    {"u4", {}},
    {"u8", {}},
    {"c8", {}},
    {"c16", {}},
    {"f16", {}},
    {"f12", {}},
    {"c32", {}},
}};

struct Header {
  std::uint64_t at = 0;  // position in the file
  std::string descr;     // of a structured type all of its text
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
};

class HeaderParser {
 public:
  /// @param structured  whether types of several fields pass
  HeaderParser(std::string_view text, const Source& source, std::uint64_t base, const Limits& limits, bool structured)
      : text_(text), source_(source), base_(base), limits_(limits), structured_(structured) {}

  Header parse() {
    Header header;
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!take('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr" && !std::exchange(has_descr, true)) {
        header.descr = type();
      } else if (key == "fortran_order" && !std::exchange(has_order, true)) {
        header.fortran_order = boolean();
      } else if (key == "shape" && !std::exchange(has_shape, true)) {
        header.shape = tuple();
      } else {
        reject("the header has the keys descr, fortran_order and shape, each once; got ", quote(key));
      }
      if (take(',')) continue;
      expect('}');
      break;
    }
    for (const auto& [has, key] : {std::pair(has_descr, "descr"), {has_order, "fortran_order"}, {has_shape, "shape"}})
      if (!has) reject("the header must have descr, fortran_order and shape; it lacks ", key);
    space();
    if (at_ != text_.size()) reject("the header goes on after its closing brace: ", here());
    return header;
  }

 private:
  template <class... Text>
  [[noreturn]] void reject(const Text&... text) const {
    source_.reject_at(base_ + at_, text...);
  }

  /// What stands at this place, for messages.
  [[nodiscard]] std::string here() const {
    return at_ < text_.size() ? quote(text_.substr(at_, 12)) : "the end of the header";
  }

  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  char peek() {
    space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) reject("the header must have ", quote(std::string_view(&c, 1)), " here; it has ", here());
  }
  std::string string() {
    const char mark = peek();
    if (mark != '\'' && mark != '"') reject("the header must have a text here; it has ", here());
    const std::size_t end = text_.find(mark, ++at_);
    if (end == text_.npos) reject("a text in the header does not end: ", here());
    const std::string_view out = text_.substr(at_, end - at_);
    if (out.find('\\') != out.npos) reject("texts in the header have no escapes; got ", quote(out));
    at_ = end + 1;
    return std::string(out);
  }
  /// A text, or the list or tuple of a structured type as it stands.
  std::string type() {
    const char first = peek();
    if (first == '\'' || first == '"') return string();
    const auto wrong = [&] {
      reject("descr must be a simple numeric type; structured and object arrays are not read; it is ", here());
    };
    if (!structured_ || (first != '[' && first != '(')) wrong();
    const std::size_t begin = at_;
    for (std::size_t open = 0; at_ < text_.size();) {
      const char c = text_[at_];
      if (c == '\'' || c == '"') {
        (void)string();
        continue;
      }
      ++at_;
      if (c == '[' || c == '(') ++open;
      if ((c == ']' || c == ')') && --open == 0) return std::string(text_.substr(begin, at_ - begin));
    }
    at_ = begin;
    wrong();
    return {};
  }
  bool boolean() {
    space();
    for (const auto& [word, value] : {std::pair("True", true), std::pair("False", false)}) {
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += std::string_view(word).size();
      return value;
    }
    reject("fortran_order must be True or False; it is ", here());
  }
  std::vector<std::uint64_t> tuple() {
    std::vector<std::uint64_t> out;
    bool comma = true;
    expect('(');
    while (!take(')')) {
      if (!comma) reject("the shape must be a tuple of whole numbers; after one of them stands ", here());
      if (out.size() == limits_.rank) source_.exceeded("rank", "axes of the array", limits_.rank, out.size() + 1);
      out.push_back(number());
      comma = take(',');
    }
    if (out.size() == 1 && !comma) reject("the shape must be a tuple; (n) is a number");
    return out;
  }
  std::uint64_t number() {
    space();
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) reject("a size of the shape exceeds 2^64 - 1: ", here());
    if (error != std::errc()) reject("sizes must be whole numbers of at least 0; got ", here());
    at_ = static_cast<std::size_t>(end - text_.data());
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2
    return value;
  }

  std::string_view text_;
  const Source& source_;
  std::uint64_t base_;
  const Limits& limits_;
  bool structured_;
  std::size_t at_ = 0;
};

constexpr std::string_view kNameless = "V2";  // what NumPy calls types of other packages by, bfloat16 for one

/// The row of the table, or its end.
auto find_type(std::string_view descr) {
  const bool marked = descr.size() >= 3 && std::string_view("<>=|").find(descr[0]) != std::string_view::npos;
  return marked ? std::ranges::find(kNpyDtypes, descr.substr(1), &NpyDtype::code) : kNpyDtypes.end();
}

/// The element type, or nothing for one that is not read.
std::optional<Dtype> dtype_of_descr(std::string_view descr, const ReadOptions& options) {
  if (options.v2_is_bf16 && descr.size() == 3 && descr.substr(1) == kNameless) return Dtype::bf16;
  const auto known = find_type(descr);
  return known == kNpyDtypes.end() ? std::nullopt : known->dtype;
}

/// How a type that is not read is read.
std::string_view way_to_read(std::string_view descr) {
  return descr.size() == 3 && descr.substr(1) == kNameless
             ? " (ReadOptions::v2_is_bf16, --v2-is-bf16, reads it as bfloat16)"
             : "";
}

[[noreturn]] void refuse_type(const Source& source, std::string_view name, std::string_view descr) {
  const std::string said = cat("array ", quote(name), " has type ", quote(descr));
  if (find_type(descr) != kNpyDtypes.end())
    throw NotSupported(cat(source.prefix(), said, ", which this library does not have"));
  source.reject(said, "; simple numeric types are read, object, structured, text and date types are not",
                way_to_read(descr));
}

std::string foreign_text(const Header& header) {
  return cat("an array of type ", quote(header.descr), " and shape ", sizes_text(header.shape),
             way_to_read(header.descr));
}

/// Magic, version and header, which must lie inside `size` bytes.
Header read_header(ByteReader& reader, std::uint64_t size, std::uint64_t base, const Limits& limits, bool structured) {
  const Source& source = reader.source();
  if (const auto magic = reader.text(kMagic.size(), "the magic of .npy"); magic != kMagic)
    source.reject_at(base, "a .npy file must begin with \\x93NUMPY; it begins with ", quote(magic));
  const std::uint8_t major = reader.u8("version"), minor = reader.u8("version");
  if (major < 1 || major > 3 || minor != 0)
    source.reject_at(base + 6, "versions 1.0, 2.0 and 3.0 of .npy are read; got ", major, ".", minor);
  const std::uint64_t length = major == 1 ? reader.u16("header length") : reader.u32("header length");
  const std::uint64_t longest = std::min(kLongestHeader, limits.header_bytes);
  const std::uint64_t at = reader.position(), left = size - (at - base);
  if (length > left)
    reader.reject("the header of ", length, " bytes must lie inside the file; ", left, " bytes are left");
  if (length > longest)
    throw LimitError(cat(source.at(base + 8), "the header must be at most ", longest, " bytes; got ", length));
  Header header = HeaderParser(reader.text(length, "header"), source, at, limits, structured).parse();
  header.at = at;
  return header;
}

}  // namespace

std::string foreign_array(const Source& source, std::span<const std::byte> beginning, std::uint64_t size,
                          std::uint64_t base, const ReadOptions& options) {
  ByteReader reader(beginning, source, base);
  const Header header = read_header(reader, size, base, options.limits, true);
  return dtype_of_descr(header.descr, options) ? "" : foreign_text(header);
}

Tensor npy_tensor(const Source& source, std::string_view name, const std::shared_ptr<Storage>& block,
                  std::uint64_t base, const ReadOptions& options, MemoryBudget& budget, std::string* foreign) {
  ByteReader reader({block->data(), block->bytes()}, source, base);
  const Header header = read_header(reader, block->bytes(), base, options.limits, foreign != nullptr);
  const std::optional<Dtype> read = dtype_of_descr(header.descr, options);
  if (!read && foreign == nullptr) refuse_type(source, name, header.descr);
  if (!read) {
    *foreign = foreign_text(header);
    return {};
  }
  const bool swap = header.descr[0] == '>';
  const Dtype dtype = *read;
  const std::size_t width = itemsize(dtype);
  const auto bytes = checked_volume(header.shape, width);
  if (!bytes) source.reject_at(header.at, "the product of the shape ", sizes_text(header.shape), " overflows");
  if (*bytes != reader.remaining())
    reader.reject("array ", quote(name), " needs ", *bytes, " bytes of data; there are ", reader.remaining());
  const Shape shape(std::vector<std::int64_t>(header.shape.begin(), header.shape.end()));
  const std::size_t offset = block->bytes() - static_cast<std::size_t>(*bytes);
  Tensor tensor = place_tensor(source, name, block, offset, shape, dtype, budget, swap);
  if (!header.fortran_order || shape.rank() < 2) return tensor;

  std::vector<std::int64_t> strides(header.shape.size(), 1);
  for (std::size_t axis = 1; axis < strides.size(); ++axis) strides[axis] = strides[axis - 1] * shape.sizes()[axis - 1];
  budget.take(*bytes, cat("array ", quote(name)));
  auto copy = Storage::allocate(static_cast<std::size_t>(*bytes));
  copy_strided(copy->data(), tensor.bytes(), shape.sizes(), strides, width);
  return Tensor::over(std::move(copy), 0, shape, dtype);
}

std::string npy_header(const Tensor& tensor, const char* op) {
  const Dtype dtype = tensor.dtype();
  const auto known = std::ranges::find(kNpyDtypes, std::optional(dtype), &NpyDtype::dtype);
  if (known == kNpyDtypes.end())
    throw DtypeError(cat("[", op, "] NumPy has no ", dtype, "; convert to float32 first, or write safetensors"));
  std::string dict = cat("{'descr': '", itemsize(dtype) == 1 ? "|" : "<", known->code,
                         "', 'fortran_order': False, 'shape': ", tensor.shape(), ", }");
  const std::size_t total = (10 + dict.size() + 1 + 63) / 64 * 64;
  dict.resize(total - 11, ' ');
  const auto length = static_cast<unsigned>(dict.size() + 1);  // below 65,536: a rank of thousands is refused below
  if (length > 0xFFFF)
    throw ValueError(cat("[", op, "] rank ", tensor.dim(), " does not fit into a header of version 1"));
  std::string out(kMagic);
  out += {'\1', '\0', static_cast<char>(length & 0xFF), static_cast<char>(length >> 8)};
  return out + dict + '\n';
}

}  // namespace coppice
