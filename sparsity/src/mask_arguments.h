#pragma once
// Masks in the arguments that files hold. Private to sparsity.

#include <string>

#include "coppice/engine/arguments.h"
#include "coppice/engine/io/budget.h"
#include "coppice/engine/sparse/coo.h"

namespace coppice::sparsity {

/// Shape, type, and one bit per entry where all are 0 and 1, else the numbers.
[[nodiscard]] Arguments mask_to_arguments(const CooTensor& mask);
/// @throws FormatError, and KeyError, TypeError, ValueError of what is missing or of another kind; LimitError  beyond
///         the budget: one bit of a file becomes an entry and its coordinates
[[nodiscard]] CooTensor mask_from_arguments(const Arguments& arguments, MemoryBudget& budget);

/// For the masks of a state: as many bytes as its tensors have, and Limits::extra_bytes.
[[nodiscard]] MemoryBudget budget_of(const char* op, const Arguments& state, const Limits& limits);

/// What `read` gives, with the errors of arguments as errors of a file. @param what  opens the message
template <class Read>
auto from_file(const std::string& what, Read read) {
  try {
    return read();
  } catch (const KeyError& e) {
    throw FormatError(cat(what, e.what()));
  } catch (const TypeError& e) {
    throw FormatError(cat(what, e.what()));
  } catch (const ValueError& e) {
    throw FormatError(cat(what, e.what()));
  }
}

}  // namespace coppice::sparsity
