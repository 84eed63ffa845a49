#pragma once
/// From a pickle and its storages to named tensors.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coppice/engine/io/named_tensors.h"
#include "io/torch/bearing.h"
#include "io/torch/tensors.h"

namespace coppice {

/// Collects the tensors below a value of a pickle, and names what is left out.
class TensorCollector {
 public:
  TensorCollector(const PickleReader& pickle, const Source& source, const ReadOptions& options, MemoryBudget& budget,
                  TensorMaker& maker)
      : pickle_(pickle),
        source_(source),
        limits_(options.limits),
        strict_(options.strict),
        budget_(budget),
        maker_(maker) {}

  /// @param stem  the name of a bare tensor
  /// @throws FormatError, LimitError; NotSupported  for a tensor of a kind that this library has not, when strict
  [[nodiscard]] NamedTensors collect(PickleRef root, const std::string& stem);

 private:
  using Path = std::optional<std::string>;  // nothing at the root

  void walk(const Bearing& bearing, PickleRef ref, const Path& path, bool quiet);
  void walk_edges(const Bearing& bearing, PickleRef ref, const Path& path, bool quiet);
  [[nodiscard]] Path child(const Bearing& bearing, const Path& path, const PickleEdge& edge) const;
  [[nodiscard]] bool may_enter(const Bearing& bearing, PickleRef ref, const Path& path, bool quiet);
  void count_visit(const Path& path);
  void add(PickleRef ref, const std::string& path);
  void list_value(const Bearing& bearing, const PickleEdge& edge, const Path& path, const std::string& what);
  [[nodiscard]] bool has_name(const Bearing& bearing, const PickleEdge& edge) const;
  [[nodiscard]] PickleKind kind_of(PickleRef ref) const { return pickle_.value(ref).kind; }
  void list(const std::string& path, const std::string& what);
  void leave_out(const std::string& path, const std::string& what);
  void charge_name(const std::string& path);

  const PickleReader& pickle_;
  const Source& source_;
  const Limits& limits_;
  bool strict_;
  MemoryBudget& budget_;
  TensorMaker& maker_;
  NamedTensors out_;
  std::uint64_t visited_ = 0;
  std::size_t listed_ = 0, unlisted_ = 0;  // values that are no tensors
  std::uint64_t name_bytes_ = 0;           // of all tensors and of what is left out
  std::vector<PickleRef> open_;            // containers and objects on the way from the root
  std::map<PickleRef, int> entered_;       // objects, and how often
  int open_objects_ = 0;
};

}  // namespace coppice
