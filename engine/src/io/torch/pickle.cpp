#include "io/torch/pickle.h"

#include <algorithm>

namespace coppice {
namespace {

std::string hex(std::uint8_t byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  return {'0', 'x', kHex[byte >> 4], kHex[byte & 15]};
}

}  // namespace

const char* word_of(PickleKind kind) {
  constexpr const char* kWords[] = {"None",
                                    "a boolean",
                                    "an integer",
                                    "a number",
                                    "a text",
                                    "a tuple",
                                    "a list",
                                    "a dict",
                                    "a global",
                                    "a storage",
                                    "a tensor",
                                    "an object",
                                    "an unsupported tensor"};
  return kWords[static_cast<std::size_t>(kind)];
}

PickleRef PickleReader::read() {
  stack_.clear();
  marks_.clear();
  memo_.clear();
  begin_ = at_ = reader_.position();
  if (const std::uint8_t first = next(1).u8("PROTO"); first != 0x80)
    reject("a pickle must begin with PROTO (0x80); it begins with ", hex(first));
  if (const std::uint8_t protocol = next(1).u8("protocol"); protocol != 2)
    reject("pickles of protocol 2, PyTorch's default, are read; got ", int{protocol});
  while (step()) {
  }
  if (stack_.size() != 1 || !marks_.empty()) reject("STOP must find one value; there are ", stack_.size());
  return stack_[0];
}

/// Executes one opcode; false after STOP.
bool PickleReader::step() {
  at_ = reader_.position();
  const auto integer = [](std::int64_t n) { return PickleValue{.kind = PickleKind::integer, .integer = n}; };
  const auto boolean = [](bool b) { return PickleValue{.kind = PickleKind::boolean, .integer = b}; };
  opcode_ = next(1).u8("opcode");
  switch (opcode_) {
    case '.': return false;  // STOP
    case '(':                // MARK
      charge(1);             // eight bytes for one of the file
      marks_.push_back(stack_.size());
      break;
    case 'N': push(PickleValue{}); break;                                              // NONE
    case 0x88: push(boolean(true)); break;                                             // NEWTRUE
    case 0x89: push(boolean(false)); break;                                            // NEWFALSE
    case 'J': push(integer(static_cast<std::int32_t>(next(4).u32("BININT")))); break;  // BININT
    case 'K': push(integer(next(1).u8("BININT1"))); break;                             // BININT1
    case 'M': push(integer(next(2).u16("BININT2"))); break;                            // BININT2
    case 0x8A: push_long(next(1).u8("LONG1")); break;                                  // LONG1
    case 'G':                                                                          // BINFLOAT
      next(8).skip(8, "BINFLOAT");
      push(PickleValue{.kind = PickleKind::number});
      break;
    case 'X': push_text(next(4).u32("BINUNICODE")); break;      // BINUNICODE
    case 'U': push_text(next(1).u8("SHORT_BINSTRING")); break;  // SHORT_BINSTRING
    case '}':                                                   // EMPTY_DICT
      pairs_.emplace_back();
      push(PickleValue{.kind = PickleKind::dict, .index = static_cast<std::uint32_t>(pairs_.size() - 1)});
      break;
    case ']': push_items(PickleKind::list, {}); break;              // EMPTY_LIST
    case ')': push_items(PickleKind::tuple, {}); break;             // EMPTY_TUPLE
    case 't': push_items(PickleKind::tuple, pop_to_mark()); break;  // TUPLE
    case 0x85: push_tuple(1); break;                                // TUPLE1
    case 0x86: push_tuple(2); break;                                // TUPLE2
    case 0x87: push_tuple(3); break;                                // TUPLE3
    case 'a': append({pop()}); break;                               // APPEND
    case 'e': append(pop_to_mark()); break;                         // APPENDS
    case 's': {                                                     // SETITEM
      const PickleRef value = pop(), key = pop();
      set_items({key, value});
      break;
    }
    case 'u': set_items(pop_to_mark()); break;              // SETITEMS
    case 'q': remember(next(1).u8("BINPUT")); break;        // BINPUT
    case 'r': remember(next(4).u32("LONG_BINPUT")); break;  // LONG_BINPUT
    case 'h': recall(next(1).u8("BINGET")); break;          // BINGET
    case 'j': recall(next(4).u32("LONG_BINGET")); break;    // LONG_BINGET
    case 'c': push_global(); break;                         // GLOBAL
    case 'R': reduce(); break;                              // REDUCE
    case 'b': build(); break;                               // BUILD
    case 'Q': persistent_id(); break;                       // BINPERSID
    default: reject("opcode ", hex(opcode_), " is not among those a state dict needs");
  }
  return true;
}

/// The reader, for the next `count` bytes of this pickle. A legacy file goes on behind its pickles, so that its size
/// bounds none of them; what ends with the file is cut short, as the reader will say.
ByteReader& PickleReader::next(std::uint64_t count) {
  const std::uint64_t used = reader_.position() - begin_;
  if (count <= reader_.remaining() && count > limits_.header_bytes - used)
    reader_.source().exceeded("header_bytes", "bytes of a pickle", limits_.header_bytes, used + count);
  return reader_;
}

/// A line of a GLOBAL. The names that are known are short, and an unknown one is copied into a message.
std::string_view PickleReader::line(const char* what) {
  constexpr std::uint64_t kLongest = 256;
  ByteReader ahead = reader_;
  const std::string_view found = ahead.text(std::min(ahead.remaining(), kLongest + 1), what);
  const std::size_t end = found.find('\n');
  if (end == found.npos && found.size() > kLongest)
    reject(what, " must have at most ", kLongest, " bytes; it begins with ", quote(found));
  return next(end == found.npos ? 0 : end + 1).line(what);
}

PickleRef PickleReader::make(PickleValue value) {
  values_.push_back(std::move(value));
  return static_cast<PickleRef>(values_.size() - 1);  // fits: every value is pushed, and pushes are limited
}

void PickleReader::push(PickleRef ref) {
  charge(1);
  stack_.push_back(ref);
}

void PickleReader::charge(std::uint64_t count) {
  charged_ += count;  // each count is at most the number of values so far, or that of a tensor's axes
  if (const auto most = std::min<std::uint64_t>(limits_.objects, UINT32_MAX / 2); charged_ > most)
    reader_.source().exceeded("objects", "values in the pickle", most, charged_);
}

PickleRef PickleReader::top() const {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back()))
    reject("opcode ", hex(opcode_), " needs a value, and the stack is empty");
  return stack_.back();
}

PickleRef PickleReader::pop() {
  const PickleRef out = top();
  stack_.pop_back();
  return out;
}

std::vector<PickleRef> PickleReader::pop_to_mark() {
  if (marks_.empty()) reject("opcode ", hex(opcode_), " needs a MARK, and there is no MARK on the stack");
  const auto from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<PickleRef> out(from, stack_.end());
  stack_.erase(from, stack_.end());
  marks_.pop_back();
  return out;
}

void PickleReader::push_items(PickleKind kind, std::vector<PickleRef> items) {
  items_.push_back(std::move(items));
  push(PickleValue{.kind = kind, .index = static_cast<std::uint32_t>(items_.size() - 1)});
}

void PickleReader::push_tuple(std::size_t count) {
  std::vector<PickleRef> items(count);
  for (std::size_t i = count; i-- > 0;) items[i] = pop();
  push_items(PickleKind::tuple, std::move(items));
}

void PickleReader::push_text(std::uint64_t length) {
  const std::string_view text = next(length).text(length, "text");
  if (!is_utf8(text)) reject("texts must be UTF-8; got ", quote(text));
  push(PickleValue{.kind = PickleKind::text, .text = text});
}

/// Little-endian two's complement of any length; beyond 64 bits it is a number of no use.
void PickleReader::push_long(std::uint64_t length) {
  const auto bytes = next(length).bytes(length, "LONG1");
  if (length > 8) return push(PickleValue{.kind = PickleKind::number});
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  const bool negative = !bytes.empty() && (bytes.back() & std::byte{0x80}) != std::byte{0};
  if (negative && length < 8) value |= ~std::uint64_t{0} << (8 * length);
  push(PickleValue{.kind = PickleKind::integer, .integer = static_cast<std::int64_t>(value)});
}

void PickleReader::remember(std::uint32_t slot) {
  memo_[slot] = top();
  if (memo_.size() > limits_.objects)
    reader_.source().exceeded("objects", "memo entries of the pickle", limits_.objects, memo_.size());
}

void PickleReader::recall(std::uint32_t slot) {
  const auto found = memo_.find(slot);
  if (found == memo_.end()) reject("memo entry ", slot, " was never stored");
  push(found->second);
}

void PickleReader::append(std::vector<PickleRef> items) {
  const PickleValue& list = value(top());
  if (list.kind != PickleKind::list) reject("only a list can be appended to; there is ", word_of(list.kind));
  auto& to = items_[list.index];
  to.insert(to.end(), items.begin(), items.end());
}

void PickleReader::set_items(const std::vector<PickleRef>& items) {
  const PickleValue& dict = value(top());
  if (dict.kind != PickleKind::dict) reject("items can be set in a dict only; there is ", word_of(dict.kind));
  if (items.size() % 2 != 0) reject("a dict takes pairs; got ", items.size(), " values");
  for (std::size_t i = 0; i < items.size(); i += 2) {
    const PickleKind key = value(items[i]).kind;
    if (key > PickleKind::tuple) reject("a key must be a text or a number; it is ", word_of(key));
    pairs_[dict.index].emplace_back(items[i], items[i + 1]);
  }
}

/// The last text on the stack is the key whose value is being built, in every file that PyTorch writes.
std::string PickleReader::near() const {
  for (std::size_t i = stack_.size(); i-- > 0 && stack_.size() - i < 32;)
    if (value(stack_[i]).kind == PickleKind::text) return cat(" (near ", quote(value(stack_[i]).text), ")");
  return {};
}

}  // namespace coppice
