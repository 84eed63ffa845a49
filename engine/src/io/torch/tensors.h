#pragma once
/// From a tensor of a pickle and its storage to a tensor.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "coppice/engine/io/budget.h"
#include "coppice/engine/tensor.h"
#include "io/torch/pickle.h"

namespace coppice {

/// Makes the tensors of a pickle. Those that show one storage in the file share one, and so do equal copies.
class TensorMaker {
 public:
  /// The bytes of a storage, as they stand in the file.
  using Fetch = std::function<std::shared_ptr<Storage>(const PickleStorage&)>;

  /// @param swap  values are big-endian
  TensorMaker(const PickleReader& pickle, const Source& source, MemoryBudget& budget, bool swap, Fetch fetch)
      : pickle_(pickle),
        source_(source),
        budget_(budget),
        swap_(swap),
        fetch_(std::move(fetch)),
        tensors_(pickle.tensors().size()),
        storages_(pickle.storages().size()),
        storage_types_(storages_.size()) {}

  /// @param index  in PickleReader::tensors()
  /// @throws FormatError, LimitError
  [[nodiscard]] Tensor tensor(std::uint32_t index, const std::string& path);

 private:
  using View = std::tuple<std::uint32_t, std::uint64_t, std::vector<std::int64_t>, std::vector<std::int64_t>, bool>;

  const std::shared_ptr<Storage>& storage(const PickleTensor& spec, const std::string& path);
  Tensor copy_of(const PickleTensor& spec, const Storage& from, const Shape& shape);

  const PickleReader& pickle_;
  const Source& source_;
  MemoryBudget& budget_;
  bool swap_;
  Fetch fetch_;
  std::vector<Tensor> tensors_;                     // by index; made once however often they are named
  std::map<View, Tensor> copies_;                   // of views that are not row-major, or negated
  std::vector<std::shared_ptr<Storage>> storages_;  // by index, aligned and in our byte order
  std::vector<std::optional<Dtype>> storage_types_;
};

}  // namespace coppice
