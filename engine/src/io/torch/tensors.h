#pragma once
/// From a pickle and its storages to named tensors.

#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "coppice/engine/io/budget.h"
#include "coppice/engine/io/named_tensors.h"
#include "io/torch/pickle.h"

namespace coppice {

/// Collects the tensors below a value of a pickle.
class TensorCollector {
 public:
  /// The bytes of a storage, as they stand in the file.
  using Fetch = std::function<std::shared_ptr<Storage>(const PickleStorage&)>;

  /// @param swap  values are big-endian
  TensorCollector(const PickleReader& pickle, const Source& source, const Limits& limits, MemoryBudget& budget,
                  bool swap, Fetch fetch);

  /// @param stem  the name of a bare tensor
  /// @throws FormatError, LimitError, NotSupported
  [[nodiscard]] NamedTensors collect(PickleRef root, const std::string& stem);

 private:
  std::size_t walk(PickleRef ref, const std::string& path);
  std::size_t walk_dict(const PickleValue& dict, const std::string& path);
  [[nodiscard]] std::string child(const std::string& path, std::string_view key) const;
  [[nodiscard]] std::string child_of_dict(const std::string& path, PickleRef key) const;
  void add(const PickleValue& value, const std::string& path);
  void charge_name(const std::string& path);
  Tensor tensor(std::uint32_t index, const std::string& path);
  const std::shared_ptr<Storage>& storage(const PickleTensor& spec, const std::string& path);

  const PickleReader& pickle_;
  const Source& source_;
  const Limits& limits_;
  MemoryBudget& budget_;
  bool swap_;
  Fetch fetch_;
  NamedTensors out_;
  std::uint64_t visited_ = 0;
  std::uint64_t name_bytes_ = 0;                    // of all tensors and of what is left out
  std::vector<PickleRef> open_;                     // containers on the way from the root
  std::unordered_set<PickleRef> barren_;            // containers without a tensor: not entered again
  std::vector<Tensor> tensors_;                     // by index; made once however often they are named
  std::vector<std::shared_ptr<Storage>> storages_;  // by index, aligned and in our byte order
  std::vector<std::optional<Dtype>> storage_types_;
};

}  // namespace coppice
