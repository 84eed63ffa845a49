#pragma once
// Arguments as JSON and back, with the tensors among them as members of the file. Private to nn.
//
// Numbers, texts, bools, null and lists of numbers stand as they are; what JSON has no word for is an object of one
// key: {"map": {…}}, {"tensor": ".args.0"}, {"function": "my.function"}. Format 1 has lists of integers and no objects.

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "coppice/engine/io/named_tensors.h"
#include "coppice/nn/arguments.h"

namespace coppice::nn {

// Bounds that nobody can raise: more than any model has.
inline constexpr std::size_t kMostItems = 1000;  // of a list or map. Shapes of tensors are held to Limits::rank as well
inline constexpr std::size_t kDeepestMap = 16;   // maps within maps
inline constexpr std::size_t kMostArguments = 1'000'000;  // in one file, those within maps too

/// Where tensors of arguments stand in a file: ".args.0", ".args.1", …  No tensor of a model is called so, since no
/// part of a dotted path is empty.
inline constexpr const char* kArgumentMember = ".args.";

/// An argument for messages, which become texts where something is wrong.
struct ArgumentPlace {
  const std::string& where;
  const ArgumentPlace* outer;  ///< the map that it stands in, or null
  const std::string& name;

  [[nodiscard]] std::string text() const;
};

/// Writes the arguments of one model.
class ArgumentWriter {
 public:
  /// @param where  opens messages, with what the arguments belong to
  /// @throws ValueError  beyond a bound above, and for a number that is not finite, which JSON cannot hold;
  ///         KeyError  for a function that is not registered: nobody could load the file
  [[nodiscard]] nlohmann::ordered_json object(const Arguments& arguments, const std::string& where);
  /// The lowest format that holds what was written so far.
  [[nodiscard]] std::int64_t format() const { return format_; }
  /// The tensors that were met so far, under the names of their members.
  [[nodiscard]] const NamedTensors& members() const { return members_; }

 private:
  nlohmann::ordered_json object(const Arguments& arguments, const std::string& where, const ArgumentPlace* outer);
  nlohmann::ordered_json value(const Argument& value, const ArgumentPlace& place);

  std::int64_t format_ = 1;
  std::size_t count_ = 0;
  NamedTensors members_;
};

/// Reads the arguments of one file of a stranger's.
class ArgumentReader {
 public:
  /// Of an architecture, which has no tensors.
  ArgumentReader() = default;
  /// Of a model file. @param members  all of its tensors
  ArgumentReader(const NamedTensors& members, std::int64_t format) : members_(&members), format_(format) {}

  [[nodiscard]] bool in_model_file() const { return members_ != nullptr; }
  /// @throws FormatError  for what the format has not, a tensor that the file has not, or a function that is not
  ///         registered; LimitError  beyond a bound above
  [[nodiscard]] Arguments object(const nlohmann::ordered_json& object, const std::string& where);
  /// Members that arguments named so far.
  [[nodiscard]] const std::set<std::string, std::less<>>& used() const { return used_; }

 private:
  Arguments object(const nlohmann::ordered_json& object, const std::string& where, const ArgumentPlace* outer);
  Argument value(const nlohmann::ordered_json& value, const ArgumentPlace& place);
  Argument list(const nlohmann::ordered_json& items, const ArgumentPlace& place) const;
  Argument kind(const nlohmann::ordered_json& object, const ArgumentPlace& place);
  Tensor tensor(const std::string& member, const ArgumentPlace& place);

  const NamedTensors* members_ = nullptr;
  std::int64_t format_ = 2;
  std::size_t count_ = 0;
  std::set<std::string, std::less<>> used_;
};

}  // namespace coppice::nn
