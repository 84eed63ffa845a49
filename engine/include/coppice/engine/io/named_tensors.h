#pragma once
/// Tensors by name in a fixed order: what every reader returns and every writer takes.

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coppice/engine/tensor.h"

namespace coppice {

/// An ordered map from name to tensor, with text metadata.
///
/// Order is the order of insertion; readers insert in the order of the file. Copying copies handles: the numbers are
/// shared.
class NamedTensors {
 public:
  using Entry = std::pair<std::string, Tensor>;

  NamedTensors() = default;
  NamedTensors(std::initializer_list<Entry> entries);

  /// Appends. @throws KeyError  if the name exists; StateError if the tensor is undefined
  void add(std::string name, Tensor tensor);
  /// Replaces the tensor of that name where it stands, or appends.
  void set(std::string_view name, Tensor tensor);
  /// Takes the entry out; the others keep their order. False if there is none. Cost: linear.
  bool erase(std::string_view name);

  /// Appends the entries of another map as prefix + name. @throws KeyError  if one of these exists
  void add_all(const std::string& prefix, const NamedTensors& others);
  /// The entries whose names begin with `prefix`, without it.
  [[nodiscard]] NamedTensors below(std::string_view prefix) const;

  [[nodiscard]] bool contains(std::string_view name) const { return find(name) != nullptr; }
  /// The tensor, or nullptr. Valid until the next change of the map.
  [[nodiscard]] const Tensor* find(std::string_view name) const;
  /// @throws KeyError  if there is no such name
  [[nodiscard]] const Tensor& at(std::string_view name) const;

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }
  [[nodiscard]] std::vector<std::string> names() const;
  /// Sum of nbytes() over all entries.
  [[nodiscard]] std::uint64_t nbytes() const;

  /// Texts that a file carries beside its tensors; only safetensors keeps them.
  [[nodiscard]] std::map<std::string, std::string>& metadata() { return metadata_; }
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// What a reader left out: the path of a number, a text or settings, "path: what it is" of anything else.
  [[nodiscard]] std::vector<std::string>& skipped() { return skipped_; }
  [[nodiscard]] const std::vector<std::string>& skipped() const { return skipped_; }
  /// Number of tensors whose checksum, out of the metadata of a safetensors file, the reader compared.
  [[nodiscard]] std::size_t& compared() { return compared_; }
  [[nodiscard]] std::size_t compared() const { return compared_; }

 private:
  std::vector<Entry> entries_;
  // Ordered rather than hashed, as wherever names come from strangers: they could choose names of one hash.
  std::map<std::string, std::size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::string> skipped_;
  std::size_t compared_ = 0;
};

}  // namespace coppice
