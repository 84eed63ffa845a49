#pragma once
// JSON of two levels, read without building a document: the JSON library's takes memory in its destructor, and running
// out of it there would end the process. Private to sparsity.

#include <map>
#include <string>
#include <string_view>

#include "coppice/engine/checked.h"

namespace coppice::sparsity {

/// Paths of the scalars of an object, and of the objects of scalars in it, to their texts as JSON: "format" -> "1",
/// "recipe" -> "{}", "recipe.lr" -> "0.001", "recipe.optimizer" -> "\"adam\"".
/// @param what  what messages call the text
/// @throws FormatError  for other syntax, lists, a third level, a key twice, NUL, and more than 4096 bytes
[[nodiscard]] std::map<std::string, std::string> read_flat_json(std::string_view text, std::string_view what,
                                                                const Source& source);

}  // namespace coppice::sparsity
