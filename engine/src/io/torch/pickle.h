#pragma once
/// The closed subset of Python's pickle that state dicts of PyTorch use, read symbolically.
///
/// Nothing is ever looked up or called: a name in the file selects a row of a fixed table, and the few "calls" that a
/// tensor needs build plain values. Source: torch/_weights_only_unpickler.py and torch/_utils.py.

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

namespace coppice {

/// Position of a value in Pickle::values. Shared and cyclic structures are plain numbers, so nothing leaks.
using PickleRef = std::uint32_t;

enum class PickleKind : std::uint8_t {
  none,
  boolean,
  integer,
  number,
  text,
  tuple,
  list,
  dict,
  global,
  storage,
  tensor,
  opaque,       // valid and of no interest: bytes, sets, devices
  unsupported,  // a tensor that this library cannot hold; `text` says what it is
};

/// What a GLOBAL may name.
enum class PickleGlobal : std::uint8_t {
  ordered_dict,
  set,
  encode,
  size,
  device,
  layout,
  rebuild_tensor,
  rebuild_tensor_v2,
  rebuild_tensor_v3,
  rebuild_parameter,
  rebuild_parameter_with_state,
  rebuild_quantized,
  rebuild_sparse,
  storage_class,
  untyped_storage,
  dtype,
  word,
};

struct PickleValue {
  PickleKind kind = PickleKind::none;
  PickleGlobal global{};
  std::optional<Dtype> dtype = {};  // of a storage class or dtype
  std::int64_t integer = 0;         // also of booleans
  std::string_view text = {};       // in the file
  std::uint32_t index = 0;          // in items, pairs, storages or tensors
};

struct PickleStorage {
  std::string_view key;
  std::optional<Dtype> dtype;  // nothing: untyped, or a type that this library has not
  bool untyped = false;
  std::string_view class_name;
  std::uint64_t numel = 0;  // bytes when untyped
};

struct PickleTensor {
  std::uint32_t storage = 0;
  Dtype dtype = Dtype::f32;
  std::uint64_t offset = 0;  // in elements
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;
};

/// Reads pickles one after the other; values stay until the reader goes. The bytes must outlive it.
class PickleReader {
 public:
  PickleReader(ByteReader& reader, const Limits& limits) : reader_(reader), limits_(limits) {}

  /// The value of the next pickle, up to and with its STOP.
  /// @throws FormatError  for anything outside the subset, naming place, rule and what was found
  /// @throws LimitError  among others for a pickle of more than Limits::header_bytes, however long the file is
  PickleRef read();

  [[nodiscard]] const PickleValue& value(PickleRef ref) const { return values_[ref]; }
  /// Number of values so far.
  [[nodiscard]] std::size_t size() const { return values_.size(); }
  /// Elements of a tuple or list.
  [[nodiscard]] const std::vector<PickleRef>& items(const PickleValue& v) const { return items_[v.index]; }
  /// Keys and values of a dict.
  [[nodiscard]] const std::vector<std::pair<PickleRef, PickleRef>>& pairs(const PickleValue& v) const {
    return pairs_[v.index];
  }
  [[nodiscard]] const std::vector<PickleStorage>& storages() const { return storages_; }
  [[nodiscard]] const std::vector<PickleTensor>& tensors() const { return tensors_; }

 private:
  // The machine: pickle.cpp.
  bool step();
  ByteReader& next(std::uint64_t count);
  std::string_view line(const char* what);
  void push(PickleRef ref);
  void charge(std::uint64_t count);
  void push(PickleValue value) { push(make(std::move(value))); }
  PickleRef make(PickleValue value);
  PickleRef pop();
  [[nodiscard]] PickleRef top() const;
  std::vector<PickleRef> pop_to_mark();
  void push_items(PickleKind kind, std::vector<PickleRef> items);
  void push_tuple(std::size_t count);
  void push_text(std::uint64_t length);
  void push_long(std::uint64_t length);
  void remember(std::uint32_t slot);
  void recall(std::uint32_t slot);
  void append(std::vector<PickleRef> items);
  void set_items(const std::vector<PickleRef>& items);

  // Objects: pickle_objects.cpp.
  void push_global();
  void reduce();
  void build();
  void persistent_id();
  PickleValue call(const PickleValue& function, const std::vector<PickleRef>& args);
  PickleValue make_dict(const std::vector<PickleRef>& args);
  PickleValue make_tensor(PickleGlobal function, const std::vector<PickleRef>& args);
  void need_empty_hooks(PickleRef ref) const;
  [[nodiscard]] std::uint64_t count(PickleRef ref, const char* what) const;
  [[nodiscard]] std::vector<std::int64_t> counts(PickleRef ref, const char* what) const;

  /// FormatError at the opcode, with the last key before it.
  template <class... Text>
  [[noreturn]] void reject(const Text&... text) const {
    reader_.source().reject_at(at_, cat(text...), near());
  }
  [[nodiscard]] std::string near() const;

  ByteReader& reader_;
  const Limits& limits_;
  std::uint64_t begin_ = 0;  // of the pickle
  std::uint64_t at_ = 0;     // of the opcode
  std::uint8_t opcode_ = 0;
  std::uint64_t charged_ = 0;  // values, marks, axes of tensors, and pairs that were copied
  std::vector<PickleRef> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint32_t, PickleRef> memo_;
  std::deque<PickleValue> values_;
  std::vector<std::vector<PickleRef>> items_;
  std::vector<std::vector<std::pair<PickleRef, PickleRef>>> pairs_;
  std::vector<PickleStorage> storages_;
  std::vector<PickleTensor> tensors_;
  std::map<std::string_view, std::uint32_t> storage_by_key_;
};

/// The word of a kind, for messages: "a text", "a dict" …
[[nodiscard]] const char* word_of(PickleKind kind);

}  // namespace coppice
