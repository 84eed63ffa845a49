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
                                    "bytes or a device",
                                    "an unsupported tensor",
                                    "an object of a class that is not known"};
  return kWords[static_cast<std::size_t>(kind)];
}

PickleRef PickleReader::read() {
  stack_.clear();
  marks_.clear();
  memo_.clear();
  begin_ = at_ = reader_->position();
  if (reader_->remaining() == 0) (void)next(1).u8("PROTO");
  while (step()) {
  }
  if (stack_.size() != 1 || !marks_.empty()) reject("STOP must find one value; there are ", stack_.size());
  return stack_[0];
}

/// Executes one opcode; false after STOP.
bool PickleReader::step() {
  at_ = reader_->position();
  opcode_ = next(1).u8("opcode");
  switch (opcode_) {
    case '.': return false;  // STOP
    case 0x80:               // PROTO
      if (const std::uint8_t protocol = next(1).u8("protocol"); protocol > 5)
        reject("pickles of protocols 0..5 are read; got ", int{protocol});
      break;
    case '(':     // MARK
      charge(1);  // eight bytes for one of the file
      marks_.push_back(stack_.size());
      break;
    case '0':  // POP
      if (!marks_.empty() && marks_.back() == stack_.size())
        marks_.pop_back();
      else
        (void)pop();
      break;
    case '1': (void)pop_to_mark(); break;                           // POP_MARK
    case '2': push(top()); break;                                   // DUP
    case '}': push_pairs({}); break;                                // EMPTY_DICT
    case 'd': push_pairs(pop_to_mark()); break;                     // DICT
    case ']': push_items(PickleKind::list, {}); break;              // EMPTY_LIST
    case 'l': push_items(PickleKind::list, pop_to_mark()); break;   // LIST
    case 0x8F: push_items(PickleKind::list, {}); break;             // EMPTY_SET
    case 0x91: push_items(PickleKind::list, pop_to_mark()); break;  // FROZENSET
    case ')': push_items(PickleKind::tuple, {}); break;             // EMPTY_TUPLE
    case 't': push_items(PickleKind::tuple, pop_to_mark()); break;  // TUPLE
    case 0x85: push_tuple(1); break;                                // TUPLE1
    case 0x86: push_tuple(2); break;                                // TUPLE2
    case 0x87: push_tuple(3); break;                                // TUPLE3
    case 'a': append({pop()}); break;                               // APPEND
    case 'e':                                                       // APPENDS
    case 0x90: append(pop_to_mark()); break;                        // ADDITEMS
    case 's': {                                                     // SETITEM
      const PickleRef value = pop(), key = pop();
      set_items({key, value});
      break;
    }
    case 'u': set_items(pop_to_mark()); break;                             // SETITEMS
    case 'p': remember(memo_number()); break;                              // PUT
    case 'q': remember(next(1).u8("BINPUT")); break;                       // BINPUT
    case 'r': remember(next(4).u32("LONG_BINPUT")); break;                 // LONG_BINPUT
    case 0x94: remember(static_cast<std::uint32_t>(memo_.size())); break;  // MEMOIZE
    case 'g': recall(memo_number()); break;                                // GET
    case 'h': recall(next(1).u8("BINGET")); break;                         // BINGET
    case 'j': recall(next(4).u32("LONG_BINGET")); break;                   // LONG_BINGET
    case 'c': push_global(); break;                                        // GLOBAL
    case 0x93: push_stack_global(); break;                                 // STACK_GLOBAL
    case 0x82: push_extension(next(1).u8("EXT1")); break;                  // EXT1
    case 0x83: push_extension(next(2).u16("EXT2")); break;                 // EXT2
    case 0x84: push_extension(next(4).u32("EXT4")); break;                 // EXT4
    case 'R': reduce(); break;                                             // REDUCE
    case 0x81: new_object(false); break;                                   // NEWOBJ
    case 0x92: new_object(true); break;                                    // NEWOBJ_EX
    case 'i': instance(); break;                                           // INST
    case 'o': old_object(); break;                                         // OBJ
    case 'b': build(); break;                                              // BUILD
    case 'Q': persistent_id(); break;                                      // BINPERSID
    case 'P':                                                              // PERSID
      reject("opcode ", hex(opcode_),
             " names a storage by a line of text, as pickles of protocol 0 do and PyTorch cannot ",
             "read either; save with another protocol");
    case 0x97:                                                                               // NEXT_BUFFER
    case 0x98: reject("opcode ", hex(opcode_), " takes a buffer from outside of the file");  // READONLY_BUFFER
    default:
      if (!scalar()) reject("opcode ", hex(opcode_), " is not among those of a pickle with tensors");
  }
  return true;
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
    reader_->source().exceeded("objects", "values in the pickle", most, charged_);
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

void PickleReader::push_pairs(const std::vector<PickleRef>& keys_and_values) {
  std::vector<PicklePair> pairs;
  add_pairs(pairs, keys_and_values);
  pairs_.push_back(std::move(pairs));
  push(PickleValue{.kind = PickleKind::dict, .index = static_cast<std::uint32_t>(pairs_.size() - 1)});
}

void PickleReader::push_tuple(std::size_t count) {
  std::vector<PickleRef> items(count);
  for (std::size_t i = count; i-- > 0;) items[i] = pop();
  push_items(PickleKind::tuple, std::move(items));
}

void PickleReader::remember(std::uint32_t slot) {
  memo_[slot] = top();
  if (memo_.size() > limits_.objects)
    reader_->source().exceeded("objects", "memo entries of the pickle", limits_.objects, memo_.size());
}

void PickleReader::recall(std::uint32_t slot) {
  const auto found = memo_.find(slot);
  if (found == memo_.end()) reject("memo entry ", slot, " was never stored");
  push(found->second);
}

void PickleReader::append(std::vector<PickleRef> items) {
  const PickleValue& list = value(top());
  if (list.kind != PickleKind::list && list.kind != PickleKind::object)
    reject("only a list can be appended to; there is ", word_of(list.kind));
  auto& to = list.kind == PickleKind::list ? items_[list.index] : objects_[list.index].items;
  to.insert(to.end(), items.begin(), items.end());
}

void PickleReader::set_items(const std::vector<PickleRef>& items) {
  const PickleValue& dict = value(top());
  if (dict.kind != PickleKind::dict && dict.kind != PickleKind::object)
    reject("items can be set in a dict only; there is ", word_of(dict.kind));
  add_pairs(dict.kind == PickleKind::dict ? pairs_[dict.index] : objects_[dict.index].pairs, items);
}

void PickleReader::add_pairs(std::vector<PicklePair>& to, const std::vector<PickleRef>& keys_and_values) const {
  if (keys_and_values.size() % 2 != 0) reject("a dict takes pairs; got ", keys_and_values.size(), " values");
  for (std::size_t i = 0; i < keys_and_values.size(); i += 2) {
    const PickleKind key = value(keys_and_values[i]).kind;
    if (key == PickleKind::list || key == PickleKind::dict)
      reject("a key must be a text or a number; it is ", word_of(key));
    to.emplace_back(keys_and_values[i], keys_and_values[i + 1]);
  }
}

/// The last text on the stack is the key whose value is being built, in every file that PyTorch writes.
std::string PickleReader::near() const {
  for (std::size_t i = stack_.size(); i-- > 0 && stack_.size() - i < 32;)
    if (value(stack_[i]).kind == PickleKind::text) return cat(" (near ", quote(value(stack_[i]).text), ")");
  return {};
}

}  // namespace coppice
