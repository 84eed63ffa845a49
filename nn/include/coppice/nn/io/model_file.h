#pragma once
/// Whole models in one safetensors file: the tree of modules in the metadata, the tensors as members.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "coppice/engine/io/limits.h"
#include "coppice/engine/io/named_tensors.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// The newest version of the layout, and of those that this library reads the last. Files are written in the oldest
/// that holds the model: 2 where an argument is a list of real numbers, a tensor, a map or a function, else 1.
inline constexpr std::int64_t kModelFormat = 2;

/// Metadata key that marks a model file.
inline constexpr const char* kModelKey = "coppice.model";

struct SaveOptions {
  /// Store what masks remove too, so that ones written into a mask bring it back after loading. It influences nothing
  /// else: not the weight, not its gradient, not what is pruned next.
  bool masked_values = false;
};

/// Writes the model atomically, with checksums: types, arguments, names, tensors and masks (one bit per entry). Of a
/// masked tensor the file has the kept values of the original and the mask: not the product, and not what the mask
/// removes, which is 0 after loading. (An original is stored whole when its mask holds other numbers than 0 and 1, or
/// when a removed value is infinite or NaN: their product with 0 is NaN.)
/// The order of parameters and which are frozen is kept. A module or parameter that stands in two places comes back as
/// two, and every module in eval mode.
///
/// Children that a class of the program's makes in its constructor are kept when a file is loaded if they are of the
/// type and arguments that it says, so that a member which holds one stays right. Else the file's module takes the
/// place: of the same type, the packed form of it, or any type for an nn::Child. Where the class also holds the child
/// in a member, which would be wrong then, and for other types, saving and loading refuse.
/// @param notes  further texts for the metadata, such as what was done to the model
/// @throws IoError; NotSupported  for a tensor derived in another way than by masks and parametrizations, for one that
///         a new module of its type has not, or has of another kind, for one that a new module has and the model has
///         not, for buffers that are no packed weight, and for children and parametrizations that load_model() refuses;
///         ValueError  beyond its fixed bounds, such as 1000 masked tensors in a module or eight masks on one tensor,
///         and for an argument that is infinite or NaN; KeyError  for an unregistered type or function; with nothing
///         written
void save_model(const Module& model, const std::filesystem::path& path,
                const std::map<std::string, std::string>& notes = {}, const SaveOptions& options = {});

/// What save_model() writes, for a file that holds more than a model. Values may share the model's storage.
/// @throws as save_model(), but for IoError
[[nodiscard]] NamedTensors model_to_tensors(const Module& model, const std::map<std::string, std::string>& notes = {},
                                            const SaveOptions& options = {});

/// The model in eval mode. Parameters show the mapped file in place (a private copy on writing). Loading reads every
/// byte once to compare the checksums; with ReadOptions::verify off it costs no pass over the numbers.
/// @throws IoError, LimitError; FormatError  for a file that is no model, is newer than this library, names a type or
///         function that is not registered, has arguments that a type refuses, or whose tensors do not fit its modules,
///         with the lists of names
[[nodiscard]] ModulePtr load_model(const std::filesystem::path& path, const ReadOptions& options = {});

enum class UnknownTypes {
  refuse,  ///< a FormatError
  /// Stand-ins that hold the tensors and children which the file has for them. They can be listed, pruned, and saved as
  /// what they stand for, and not be called. What masks and parametrizes them must be theirs to know: a FormatError.
  keep,
};

/// The same from tensors that were read already; `source` is what messages call them. Of `limits`, extra_bytes bounds
/// the memory for masks, which a file holds as bits, and for pruned weights, of which it holds the kept values.
/// @param unknown  what becomes of modules whose type nobody registered
[[nodiscard]] ModulePtr model_from_tensors(const NamedTensors& tensors, const std::string& source,
                                           const Limits& limits = {}, UnknownTypes unknown = UnknownTypes::refuse);

/// Whether these tensors came from a model file.
[[nodiscard]] bool is_model(const NamedTensors& tensors);

/// Types of modules in a model file that nobody registered here, each once, in the order of the tree: what
/// model_from_tensors() refuses in a file that another program wrote, and whose tensors are sound all the same. Empty
/// also for what is no model file, or one that it refuses for its description.
[[nodiscard]] std::vector<std::string> unknown_types(const NamedTensors& tensors, const Limits& limits = {});

}  // namespace coppice::nn
