#include <bit>
#include <charconv>

#include "io/torch/pickle.h"
#include "io/torch/python_text.h"

namespace coppice {
namespace {

std::string_view without_newline(std::string_view line) {
  return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
}

/// The whole of `text` as a number, or nothing.
template <class Number>
std::optional<Number> parsed(std::string_view text) {
  Number out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

}  // namespace

/// The opcodes of numbers, texts and bytes; false if it is none of them.
bool PickleReader::scalar() {
  const auto boolean = [](bool b) { return PickleValue{.kind = PickleKind::boolean, .integer = b}; };
  switch (opcode_) {
    case 'N': push(PickleValue{}); break;                                             // NONE
    case 0x88: push(boolean(true)); break;                                            // NEWTRUE
    case 0x89: push(boolean(false)); break;                                           // NEWFALSE
    case 'J': push_integer(static_cast<std::int32_t>(next(4).u32("BININT"))); break;  // BININT
    case 'K': push_integer(next(1).u8("BININT1")); break;                             // BININT1
    case 'M': push_integer(next(2).u16("BININT2")); break;                            // BININT2
    case 0x8A: push_long(next(1).u8("LONG1")); break;                                 // LONG1
    case 0x8B: push_long(next(4).u32("LONG4")); break;                                // LONG4
    case 'I':                                                                         // INT
    case 'L':                                                                         // LONG
    case 'F': push_decimal(); break;                                                  // FLOAT
    case 'G': {                                                                       // BINFLOAT
      std::uint64_t bits = 0;
      for (const std::byte byte : next(8).bytes(8, "BINFLOAT")) bits = bits << 8 | std::to_integer<std::uint64_t>(byte);
      push(PickleValue{.kind = PickleKind::number, .integer = static_cast<std::int64_t>(bits)});
      break;
    }
    case 'X': push_text(next(4).u32("BINUNICODE")); break;        // BINUNICODE
    case 0x8C: push_text(next(1).u8("SHORT_BINUNICODE")); break;  // SHORT_BINUNICODE
    case 0x8D: push_text(next(8).u64("BINUNICODE8")); break;      // BINUNICODE8
    case 'U': push_string(next(1).u8("SHORT_BINSTRING")); break;  // SHORT_BINSTRING
    case 'T': push_string(next(4).u32("BINSTRING")); break;       // BINSTRING
    case 'S': push_quoted(true); break;                           // STRING
    case 'V': push_quoted(false); break;                          // UNICODE
    case 'C': push_bytes(next(1).u8("SHORT_BINBYTES")); break;    // SHORT_BINBYTES
    case 'B': push_bytes(next(4).u32("BINBYTES")); break;         // BINBYTES
    case 0x8E: push_bytes(next(8).u64("BINBYTES8")); break;       // BINBYTES8
    case 0x96: push_bytes(next(8).u64("BYTEARRAY8")); break;      // BYTEARRAY8
    case 0x95:                                                    // FRAME
      if (const std::uint64_t bytes = next(8).u64("FRAME"); bytes > reader_->remaining())
        reject("a frame of ", bytes, " bytes must lie inside the pickle; ", reader_->remaining(), " bytes are left");
      break;
    default: return false;
  }
  return true;
}

/// The reader, for the next `count` bytes of this pickle. A legacy file goes on behind its pickles, so that its size
/// bounds none of them; what ends with the file is cut short, as the reader will say.
ByteReader& PickleReader::next(std::uint64_t count) {
  const std::uint64_t used = reader_->position() - begin_;
  if (count <= reader_->remaining() && count > limits_.header_bytes - used)
    reader_->source().exceeded("header_bytes", "bytes of a pickle", limits_.header_bytes, used + count);
  return *reader_;
}

/// A line of a GLOBAL or of a number. The names that are known are short, and an unknown one is copied into a message.
std::string_view PickleReader::line(const char* what) {
  constexpr std::uint64_t kLongest = 256;
  ByteReader ahead = *reader_;
  const std::string_view found = ahead.text(std::min(ahead.remaining(), kLongest + 1), what);
  const std::size_t end = found.find('\n');
  if (end == found.npos && found.size() > kLongest)
    reject(what, " must have at most ", kLongest, " bytes; it begins with ", quote(found));
  return next(end == found.npos ? 0 : end + 1).line(what);
}

void PickleReader::push_integer(std::int64_t value) {
  push(PickleValue{.kind = PickleKind::integer, .integer = value});
}

void PickleReader::push_text(std::uint64_t length) {
  const std::string_view text = next(length).text(length, "text");
  if (strict_ ? !is_utf8(text) : !is_python_text(text)) reject("texts must be UTF-8; got ", quote(text));
  push(PickleValue{.kind = PickleKind::text, .text = text});
}

/// What Python 2 wrote: a text, or bytes.
void PickleReader::push_string(std::uint64_t length) {
  const std::string_view text = next(length).text(length, "text");
  push(is_utf8(text) ? PickleValue{.kind = PickleKind::text, .text = text} : PickleValue{.kind = PickleKind::opaque});
}

void PickleReader::push_bytes(std::uint64_t length) {
  next(length).skip(length, "bytes");
  push(PickleValue{.kind = PickleKind::opaque});
}

/// Little-endian two's complement of any length; beyond 64 bits it is a number of no use.
void PickleReader::push_long(std::uint64_t length) {
  const auto bytes = next(length).bytes(length, "LONG1");
  if (length > 8) return push(PickleValue{.kind = PickleKind::number, .index = 1});
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  const bool negative = !bytes.empty() && (bytes.back() & std::byte{0x80}) != std::byte{0};
  if (negative && length < 8) value |= ~std::uint64_t{0} << (8 * length);
  push_integer(static_cast<std::int64_t>(value));
}

/// Numbers of protocol 0 and 1: "12", "01" for True, "12L", "0.5".
void PickleReader::push_decimal() {
  std::string_view digits = without_newline(line("number"));
  if (opcode_ == 'I' && (digits == "00" || digits == "01"))
    return push(PickleValue{.kind = PickleKind::boolean, .integer = digits == "01"});
  if (opcode_ == 'F') {
    const auto value = parsed<double>(digits);
    if (!value) reject("a FLOAT must be a number; got ", quote(digits));
    return push(PickleValue{.kind = PickleKind::number, .integer = std::bit_cast<std::int64_t>(*value)});
  }
  if (opcode_ == 'L' && digits.ends_with('L')) digits.remove_suffix(1);
  if (const auto value = parsed<std::int64_t>(digits)) return push_integer(*value);
  const bool number = !digits.empty() && digits.find_first_not_of("0123456789", digits[0] == '-') == digits.npos;
  if (!number || digits == "-") reject("an integer must have digits; got ", quote(digits));
  push(PickleValue{.kind = PickleKind::number, .index = 1});  // longer than 64 bits
}

/// Texts of protocol 0, which no tensor needs: those with escapes stand for themselves only.
void PickleReader::push_quoted(bool in_quotes) {
  ByteReader ahead = *reader_;
  const std::size_t length = ahead.line("text").size() + 1;
  std::string_view text = without_newline(next(length).line("text"));
  if (in_quotes) {
    if (text.size() < 2 || text.front() != text.back() || (text.front() != '\'' && text.front() != '"'))
      reject("a STRING must stand in quotes; got ", quote(text));
    text = text.substr(1, text.size() - 2);
  }
  const bool plain = is_utf8(text) && text.find('\\') == text.npos;
  push(plain ? PickleValue{.kind = PickleKind::text, .text = text} : PickleValue{.kind = PickleKind::opaque});
}

std::uint32_t PickleReader::memo_number() {
  const std::string_view digits = without_newline(line("number of a memo entry"));
  const auto slot = parsed<std::uint32_t>(digits);
  if (!slot) reject("a memo entry must be a number; got ", quote(digits));
  return *slot;
}

void PickleReader::push_global() {
  const std::string_view module = line("module of a global"), name = line("name of a global");
  push(global_of(module, name));
}

void PickleReader::push_stack_global() {
  const PickleValue &name = value(pop()), &module = value(pop());
  if (name.kind != PickleKind::text || module.kind != PickleKind::text)
    reject("module and name of a global must be texts; they are ", word_of(module.kind), " and ", word_of(name.kind));
  for (const std::string_view part : {module.text, name.text})
    if (part.size() > 256)
      reject("module and name of a global must have at most 256 bytes; one begins with ", quote(part.substr(0, 256)));
  push(global_of(module.text, name.text));
}

/// A number that a program had agreed upon for a name.
void PickleReader::push_extension(std::uint32_t code) {
  if (strict_) reject("extension ", code, " of pickle is a name that the file does not tell");
  push(global_of("copyreg", "extension"));
}

PickleValue PickleReader::global_of(std::string_view module, std::string_view name) {
  const GlobalRow row = find_global(module, name, strict_);
  if (row.global == PickleGlobal::unknown) {
    if (strict_)
      reject("global ", quote(cat(module, ".", name)),
             " is not among those a state dict needs, and no code of a file is run; save model.state_dict()");
    if (!is_utf8(module) || !is_utf8(name))
      reject("the name of a global must be UTF-8; got ", quote(cat(module, ".", name)));
  }
  modules_.push_back(module);
  return PickleValue{.kind = PickleKind::global,
                     .global = row.global,
                     .width = row.width,
                     .dtype = row.dtype,
                     .text = name,
                     .index = static_cast<std::uint32_t>(modules_.size() - 1)};
}

}  // namespace coppice
