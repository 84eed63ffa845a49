#pragma once
/// Which values of a pickle lead to tensors, and by which steps.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/torch/pickle.h"

namespace coppice {

/// A step from a value to one that it holds.
struct PickleEdge {
  enum class Name : std::uint8_t { none, index, key };  // what the step adds to a path

  PickleRef to = 0;
  Name name = Name::none;
  std::uint32_t label = 0;  // the index, or the key
  bool inner = false;       // an attribute or argument, rather than something that a container contains
};

/// The values below a root, each seen once, so that what leads to no tensor costs no name.
class Bearing {
 public:
  /// @throws FormatError  if a list, tuple or dict contains itself
  /// @throws LimitError  if more than Limits::nesting of them contain each other, with no object between
  Bearing(const PickleReader& pickle, const Source& source, const Limits& limits, PickleRef root);

  /// Whether a tensor is at or below the value; one of a kind that this library has not counts.
  [[nodiscard]] bool operator()(PickleRef ref) const { return (state_[ref] & kBears) != 0; }
  [[nodiscard]] std::size_t edges(PickleRef ref) const;
  [[nodiscard]] PickleEdge edge(PickleRef ref, std::size_t i) const;
  /// How a key stands in a path; nothing for one that is neither a text, a number nor a tuple of them.
  [[nodiscard]] std::optional<std::string> key_name(PickleRef key) const;
  /// The label of a step for messages, whatever the key is.
  [[nodiscard]] std::string shown(const PickleEdge& edge) const;
  /// @throws LimitError
  void check_depth(std::uint64_t depth) const;

 private:
  static constexpr std::uint8_t kSeen = 1, kOpen = 2, kBears = 4;

  struct Frame {
    PickleRef ref = 0;
    std::size_t next = 0;     // edge
    std::uint64_t plain = 0;  // lists, tuples and dicts up to here since the last object
  };

  void visit(PickleRef root);
  void enter(std::vector<Frame>& open, PickleRef child);
  [[nodiscard]] bool is_plain(PickleRef ref) const;
  [[nodiscard]] PickleEdge object_edge(const PickleObject& object, std::size_t i) const;
  [[nodiscard]] bool stands_for_its_entries(const PicklePair& attribute) const;
  [[nodiscard]] std::string path_of(const std::vector<Frame>& open) const;

  const PickleReader& pickle_;
  const Source& source_;
  const Limits& limits_;
  std::vector<std::uint8_t> state_;
};

}  // namespace coppice
