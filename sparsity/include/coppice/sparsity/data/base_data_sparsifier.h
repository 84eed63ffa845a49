#pragma once
/// Sparsifying tensors by name, without a model.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/engine/arguments.h"
#include "coppice/engine/ordered_map.h"
#include "coppice/nn/module.h"
#include "coppice/sparsity/data/data_sparsifier_state.h"
#include "coppice/sparsity/data/datum.h"
#include "coppice/sparsity/sparsifier/config.h"

namespace coppice::sparsity {

class DataSlot;

/// Names, data, settings and masks; a class of one's own gives update_mask(), which turns numbers into a mask.
///
/// A datum stays the tensor that was given: steps compute masks from it and change nothing. get_data(name, false) reads
/// mask * data, differentiably. squash_mask() lets the tensor itself show those values, so that models and optimisers
/// which hold it see them.
///
/// Settings of a datum are the defaults with its own over them. Two are of this class: "mask", a first mask (copied;
/// ones without it), and "parametrization", the name of a MaskParametrization (FakeSparsity without it).
///
/// A call that throws changes nothing, but for step(), after whose checks only update_mask() itself can fail. Copying
/// copies everything, the data too. One thread at a time.
/// Source: torch/ao/pruning/_experimental/data_sparsifier/base_data_sparsifier.py
class BaseDataSparsifier {
 public:
  explicit BaseDataSparsifier(Arguments defaults = {}) : defaults_(std::move(defaults)) {}
  /// Adds the list without check() and resolved() of a derived class: one that has them calls add_all() itself, at the
  /// end of its constructor. @throws as add_data()
  explicit BaseDataSparsifier(const DataList& data_list, Arguments defaults = {});
  virtual ~BaseDataSparsifier() = default;
  BaseDataSparsifier& operator=(const BaseDataSparsifier&) = delete;

  /// Takes a datum under a name. A name that is there is replaced, with a warning: it keeps its settings (`config` goes
  /// over them, defaults do not) and goes to the end of the order; the tensor that it had stays as it is now.
  /// @param config      own settings
  /// @param reuse_mask  of a replaced datum, whose shape the new one must have; else the mask starts anew
  /// @return            mask * data
  /// @throws KeyError  if the name is empty, has a dot, or is "parametrizations", or no function has the name that
  ///         "parametrization" gives; ShapeError  for a mask, or a mask to be reused, of another shape; ValueError  if
  ///         the masked datum would be of another type; and what check() throws
  Tensor add_data(const std::string& name, const Datum& data, const Arguments& config = {}, bool reuse_mask = true);

  /// add_data() of each, in their order; where one is refused, none of them is added or replaced.
  /// @param config  own settings, by name
  void add_all(const DataList& data_list, const OrderedMap<Arguments>& config = {});

  /// The tensor as it was given, or mask * data as it is now (the tensor itself once squashed).
  /// @throws ValueError  for an unknown name, and for the original of squashed data
  [[nodiscard]] Tensor get_data(std::string_view name, bool return_original = true) const;
  /// The mask that is in use: at first ones in the type of the data, then what update_mask() makes. It stays the same
  /// tensor object. @throws ValueError  for an unknown name
  [[nodiscard]] Tensor get_mask(std::string_view name) const;

  /// Computes all masks anew, in the order of the data and from the data as they are: what was pruned may come back.
  /// Does nothing while enable_mask_update is off, but for counting.
  /// @throws ValueError  if some datum is squashed; and what check() throws; before any mask has changed
  void step();
  bool enable_mask_update = true;

  /// Lets each tensor show what reading it gives, or leaves it as it is, and ends its masking; names, settings and
  /// masks stay. Pruned entries are +0, where PyTorch leaves the sign. @param names  all, unless given
  /// @throws ValueError  for a name that is unknown, squashed or given twice; StateError  for a result of an operation
  void squash_mask(const std::optional<std::vector<std::string>>& names = std::nullopt, bool leave_parametrized = true);
  /// Forgets a datum, squashed or not; the tensor stays as it is. @throws ValueError  for an unknown name
  void delete_data(std::string_view name);

  /// What the class does not offer: there is no model. @throws NotSupported
  [[noreturn]] void prepare(const nn::Module& model, const Arguments& config = {}) const;

  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] bool contains(std::string_view name) const { return entries_.contains(name); }
  /// Masked still, and not squashed. False for an unknown name.
  [[nodiscard]] bool is_parametrized(std::string_view name) const;
  [[nodiscard]] const Arguments& defaults() const { return defaults_; }
  /// The settings of a datum as they were given. @throws ValueError  for an unknown name
  [[nodiscard]] const Arguments& group(std::string_view name) const;
  /// Changes one of them, as schedulers do. @throws ValueError  for an unknown name. step() checks the value.
  void set_config(std::string_view name, std::string_view key, Argument value);
  /// What the class keeps of a datum beside its mask, such as a count of steps. @throws ValueError
  [[nodiscard]] Arguments& state(std::string_view name);
  [[nodiscard]] const Arguments& state(std::string_view name) const;

  [[nodiscard]] DataSparsifierState state_dict() const;
  /// Takes names, settings, masks and data (copies, that do not require grad). The class's own defaults stay.
  /// @param strict  everything that is here goes; else names that are here stay as they are, and the rest joins them
  /// @throws FormatError  for a name without settings or data; ShapeError  for a mask of another shape; and as
  ///         add_data()
  void load_state_dict(const DataSparsifierState& from, bool strict = true);

  /// A copy of everything. @throws NotSupported  unless the class says how: `return std::make_unique<Mine>(*this);`
  [[nodiscard]] virtual std::unique_ptr<BaseDataSparsifier> clone() const;

  /// The name of the class in texts.
  [[nodiscard]] virtual std::string_view type_name() const { return "BaseDataSparsifier"; }
  /// Calls of step() since the last scheduler was made, those that did nothing too.
  [[nodiscard]] std::int64_t step_count() const { return step_count_; }

 protected:
  BaseDataSparsifier(const BaseDataSparsifier& other);

  /// Gives the mask of a datum new contents: `get_mask(name).replace_(mask)`, or writes into it. Called without
  /// gradients.
  /// @param data    the datum as it was given
  /// @param config  its settings, as resolved() gives them
  virtual void update_mask(const std::string& name, const Tensor& data, const Arguments& config) = 0;
  /// Refuses data and settings that update_mask() cannot take; when data are added or loaded, and before every step.
  virtual void check(const std::string& /*name*/, const Tensor& /*data*/, const Arguments& /*config*/) const {}
  /// Settings with what stands for those that are not set.
  [[nodiscard]] virtual Arguments resolved(const Arguments& config) const { return config; }
  /// Whether squashed negative numbers are -0, as multiplying by 0 gives, and as in PyTorch.
  [[nodiscard]] virtual bool keeps_signs_of_zeros() const { return false; }
  /// What is common to all data, for states; and taken from one. @throws FormatError  with nothing changed
  [[nodiscard]] virtual Arguments settings() const { return {}; }
  virtual void load_settings(const Arguments& /*settings*/) {}

 private:
  friend class BaseDataScheduler;
  friend std::string to_string(const BaseDataSparsifier& sparsifier);
  struct Entry {
    std::shared_ptr<DataSlot> slot;  // has the datum as "data", parametrized until it is squashed
    Tensor mask;
    Arguments config, more;
  };
  [[nodiscard]] const Entry& entry(const char* op, std::string_view name) const;
  [[nodiscard]] Entry& entry(const char* op, std::string_view name);
  static void check_name(std::string_view name);
  [[nodiscard]] Entry masked(const Tensor& data, Tensor mask, Arguments config) const;

  Arguments defaults_;
  OrderedMap<Entry> entries_;
  std::int64_t step_count_ = 0;
};

/// As PyTorch prints it: the class, and per datum the name and its settings in the order of their names.
[[nodiscard]] std::string to_string(const BaseDataSparsifier& sparsifier);

}  // namespace coppice::sparsity
