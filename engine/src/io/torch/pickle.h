#pragma once
/// Python's pickle, as PyTorch's files use it, read symbolically.
///
/// Nothing is ever looked up or called: a name in the file selects a row of a fixed table, and the few "calls" that a
/// tensor needs build plain values. What any other call, class or function would have made is an inert object: a value
/// that keeps what the file gave to it, and does nothing. Source: torch/_weights_only_unpickler.py, torch/_utils.py and
/// Python's pickle.py.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coppice/engine/checked.h"
#include "coppice/engine/dtype.h"
#include "coppice/engine/io/limits.h"
#include "io/torch/pickle_globals.h"

namespace coppice {

/// Position of a value in Pickle::values. Shared and cyclic structures are plain numbers, so nothing leaks.
using PickleRef = std::uint32_t;
using PicklePair = std::pair<PickleRef, PickleRef>;

enum class PickleKind : std::uint8_t {
  none,
  boolean,
  integer,
  number,
  text,
  tuple,
  list,  // sets too
  dict,
  global,
  storage,
  tensor,
  opaque,       // valid and of no interest: bytes, devices
  unsupported,  // a tensor that this library cannot hold; `text` says what it is
  object,       // what a call of something unknown would have made
};

struct PickleValue {
  PickleKind kind = PickleKind::none;
  PickleGlobal global{};
  std::uint8_t width = 0;           // bytes of an element of a storage class; 0: not known
  std::optional<Dtype> dtype = {};  // of a storage class or dtype
  std::int64_t integer = 0;         // also of booleans; the bits of a double
  std::string_view text = {};       // in the file
  std::uint32_t index = 0;          // in items, pairs, storages, tensors or objects; of a global, in modules
};

struct PickleStorage {
  std::string_view key;
  std::optional<Dtype> dtype;  // nothing: untyped, or a type that this library has not
  bool untyped = false;
  std::uint8_t width = 0;  // bytes of an element; 0: not known
  std::string_view class_name;
  std::uint64_t numel = 0;  // bytes when untyped
};

struct PickleTensor {
  std::uint32_t storage = 0;
  Dtype dtype = Dtype::f32;
  bool negated = false;      // each value stands for its negative
  std::uint64_t offset = 0;  // in elements
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;
  std::optional<PickleRef> attributes = {};  // that a program had put on it
};

/// What the file gave to something unknown.
struct PickleObject {
  PickleRef type = 0;                  // the global, or what else was called
  std::vector<PickleRef> made_of;      // arguments, and states that are no dict
  std::vector<PicklePair> attributes;  // its state
  std::vector<PickleRef> items;        // appended to it
  std::vector<PicklePair> pairs;       // set in it
};

/// Reads pickles one after the other; values stay until the reader goes. The bytes must outlive it.
class PickleReader {
 public:
  /// @param strict  refuse names that no state dict needs
  PickleReader(ByteReader& reader, const Limits& limits, bool strict)
      : reader_(&reader), limits_(limits), strict_(strict) {}

  /// The value of the next pickle, up to and with its STOP.
  /// @throws FormatError  for what no pickle of tensors holds, naming place, rule and what was found
  /// @throws LimitError  among others for a pickle of more than Limits::header_bytes, however long the file is
  PickleRef read();
  /// A storage or tensor that a number names in the pickles that follow, as in files of before PyTorch 0.1.10.
  void name_storage(std::int64_t id, PickleStorage storage);
  void name_tensor(std::int64_t id, PickleTensor tensor);

  [[nodiscard]] const PickleValue& value(PickleRef ref) const { return values_[ref]; }
  /// Number of values so far.
  [[nodiscard]] std::size_t size() const { return values_.size(); }
  /// Elements of a tuple or list.
  [[nodiscard]] const std::vector<PickleRef>& items(const PickleValue& v) const { return items_[v.index]; }
  /// Keys and values of a dict.
  [[nodiscard]] const std::vector<PicklePair>& pairs(const PickleValue& v) const { return pairs_[v.index]; }
  [[nodiscard]] const PickleObject& object(const PickleValue& v) const { return objects_[v.index]; }
  [[nodiscard]] const std::vector<PickleStorage>& storages() const { return storages_; }
  [[nodiscard]] const std::vector<PickleTensor>& tensors() const { return tensors_; }
  /// What a value is: "argparse.Namespace" for an object of that class, "a tensor of uint16", "a text".
  [[nodiscard]] std::string describe(PickleRef ref) const;

 private:
  // The machine: pickle.cpp.
  bool step();
  void push(PickleRef ref);
  void charge(std::uint64_t count);
  void push(PickleValue value) { push(make(std::move(value))); }
  PickleRef make(PickleValue value);
  PickleRef pop();
  [[nodiscard]] PickleRef top() const;
  std::vector<PickleRef> pop_to_mark();
  void push_items(PickleKind kind, std::vector<PickleRef> items);
  void push_pairs(const std::vector<PickleRef>& keys_and_values);
  void push_tuple(std::size_t count);
  void remember(std::uint32_t slot);
  void recall(std::uint32_t slot);
  void append(std::vector<PickleRef> items);
  void set_items(const std::vector<PickleRef>& items);
  void add_pairs(std::vector<PicklePair>& to, const std::vector<PickleRef>& keys_and_values) const;

  // Numbers, texts and names: pickle_scalars.cpp.
  bool scalar();
  ByteReader& next(std::uint64_t count);
  std::string_view line(const char* what);
  void push_integer(std::int64_t value);
  void push_text(std::uint64_t length);
  void push_string(std::uint64_t length);
  void push_bytes(std::uint64_t length);
  void push_long(std::uint64_t length);
  void push_decimal();
  void push_quoted(bool in_quotes);
  [[nodiscard]] std::uint32_t memo_number();
  void push_global();
  void push_stack_global();
  void push_extension(std::uint32_t code);
  PickleValue global_of(std::string_view module, std::string_view name);

  // Calls: pickle_objects.cpp.
  void reduce();
  void new_object(bool with_keywords);
  void instance();
  void old_object();
  void build();
  PickleValue call(PickleRef function, const std::vector<PickleRef>& args);
  PickleValue make_dict(const std::vector<PickleRef>& args);
  PickleValue rebuild_object(PickleRef called, const std::vector<PickleRef>& args);
  PickleValue make_object(PickleRef type, std::vector<PickleRef> args);
  [[nodiscard]] bool are_pairs(const std::vector<PickleRef>& list);
  void add_pairs_of(std::vector<PicklePair>& to, const std::vector<PickleRef>& list);
  void give_state(PickleValue& object, PickleRef state);
  [[nodiscard]] bool is_variable(const PickleObject& object) const;
  [[nodiscard]] bool is_old_tensor(const PickleObject& object, const PickleValue& state) const;

  // Tensors and their storages: pickle_tensors.cpp.
  PickleValue make_tensor(PickleGlobal function, const std::vector<PickleRef>& args);
  PickleValue make_parameter(PickleGlobal function, const std::vector<PickleRef>& args);
  PickleValue make_of_type(const std::vector<PickleRef>& args);
  PickleValue make_of_other_device(const std::vector<PickleRef>& args);
  PickleValue with_attributes(PickleValue tensor, PickleRef state);
  void persistent_id();
  [[nodiscard]] std::optional<PickleRef> known_id(const PickleValue& id) const;
  void storage_of(const std::vector<PickleRef>& parts);
  std::uint32_t index_of(const PickleStorage& storage);
  void need_empty_hooks(PickleRef ref) const;
  [[nodiscard]] bool has_bit(PickleRef metadata, std::string_view name);
  [[nodiscard]] std::uint64_t count(PickleRef ref, const char* what) const;
  [[nodiscard]] std::vector<std::int64_t> counts(PickleRef ref, const char* what) const;

  /// FormatError at the opcode, with the last key before it.
  template <class... Text>
  [[noreturn]] void reject(const Text&... text) const {
    reader_->source().reject_at(at_, cat(text...), near());
  }
  [[nodiscard]] std::string near() const;

  ByteReader* reader_;
  const Limits& limits_;
  bool strict_;
  std::uint64_t begin_ = 0;  // of the pickle
  std::uint64_t at_ = 0;     // of the opcode
  std::uint8_t opcode_ = 0;
  std::uint64_t charged_ = 0;  // values, marks, axes of tensors, and pairs that were copied
  std::vector<PickleRef> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint32_t, PickleRef> memo_;
  std::deque<PickleValue> values_;
  std::vector<std::string_view> modules_;  // of globals
  std::vector<std::vector<PickleRef>> items_;
  std::vector<std::vector<PicklePair>> pairs_;
  std::vector<PickleStorage> storages_;
  std::vector<PickleTensor> tensors_;
  std::deque<PickleObject> objects_;
  std::map<std::pair<std::string_view, bool>, std::uint32_t> storage_by_key_;  // and whether it is untyped
  std::map<std::int64_t, PickleRef> by_id_;
};

/// The word of a kind, for messages: "a text", "a dict" …
[[nodiscard]] const char* word_of(PickleKind kind);

}  // namespace coppice
