#include "io/torch/collect.h"

#include <algorithm>

namespace coppice {
namespace {

// Containers may be shared, so that several paths lead to a tensor; this many for each value are no state dict.
constexpr std::uint64_t kMostPaths = 100;
// Objects refer to each other in ways that state dicts do not; layers that are used again and again do so a few times.
constexpr int kMostEntries = 16;
// Lines for what one container holds beside tensors, and for all of them; the rest is counted.
constexpr std::size_t kMostLines = 100, kMostLinesInAll = 1000;

using Name = PickleEdge::Name;

/// What every reader knows without a word: numbers, texts, and lists and dicts of them.
bool is_ordinary(PickleKind kind) { return kind <= PickleKind::dict || kind == PickleKind::opaque; }

}  // namespace

NamedTensors TensorCollector::collect(PickleRef root, const std::string& stem) {
  const PickleKind kind = pickle_.value(root).kind;
  const bool container = kind == PickleKind::dict || kind == PickleKind::list || kind == PickleKind::tuple;
  const Bearing bearing(pickle_, source_, limits_, root);
  if (!container && !bearing(root)) source_.reject("the file must hold tensors; it holds ", pickle_.describe(root));
  const bool bare = kind == PickleKind::tensor || kind == PickleKind::unsupported;
  walk(bearing, root, bare ? Path(stem) : std::nullopt, false);
  if (unlisted_ > 0) out_.skipped().push_back(cat("in all: ", unlisted_, " more values that are no tensors"));
  return std::move(out_);
}

/// Adds what is at and below `ref`. The depth is limited, so recursion is safe.
/// @param quiet  inside of an object, whose attributes are not listed
void TensorCollector::walk(const Bearing& bearing, PickleRef ref, const Path& path, bool quiet) {
  const PickleValue& value = pickle_.value(ref);
  if (value.kind == PickleKind::tensor || value.kind == PickleKind::unsupported) {
    add(ref, *path);
    if (bearing.edges(ref) == 0) return;
    if (!quiet) list(*path, "attributes of the tensor");
  } else if (!may_enter(bearing, ref, path, quiet)) {
    return;
  }
  const bool object = value.kind == PickleKind::object;
  open_.push_back(ref);
  open_objects_ += object;
  walk_edges(bearing, ref, path, quiet);
  open_objects_ -= object;
  open_.pop_back();
}

void TensorCollector::walk_edges(const Bearing& bearing, PickleRef ref, const Path& path, bool quiet) {
  std::size_t lines = 0;
  for (std::size_t i = 0; i < bearing.edges(ref); ++i) {
    const PickleEdge edge = bearing.edge(ref, i);
    const bool silent = quiet || edge.inner;
    count_visit(path);
    if (bearing(edge.to)) {
      if (strict_ || has_name(bearing, edge))
        walk(bearing, edge.to, child(bearing, path, edge), silent);
      else
        list_value(bearing, edge, path, "tensors below a key that is no text, number or tuple of them");
    } else if (!silent && ++lines <= kMostLines) {
      list_value(bearing, edge, path, is_ordinary(kind_of(edge.to)) ? "" : pickle_.describe(edge.to));
    }
  }
  if (lines > kMostLines)
    list(path.value_or("at the top"), cat(lines - kMostLines, " more values that are no tensors"));
}

/// Whether a container or object is gone into: not into an object that is open, and not into one again and again.
bool TensorCollector::may_enter(const Bearing& bearing, PickleRef ref, const Path& path, bool quiet) {
  if (const auto again = std::ranges::find(open_, ref); again != open_.end()) {
    const auto is_object = [&](PickleRef r) { return pickle_.value(r).kind == PickleKind::object; };
    if (std::none_of(again, open_.end(), is_object)) source_.reject(quote(path.value_or("")), " contains itself");
    return false;
  }
  bearing.check_depth(open_.size() + 1);
  if (pickle_.value(ref).kind != PickleKind::object) return true;
  const std::string name = path.value_or("what holds everything"), type = pickle_.describe(ref);
  if (const int times = ++entered_[ref]; times > kMostEntries) {
    if (times == kMostEntries + 1) list(name, cat(type, ", whose tensors have ", kMostEntries, " names already"));
    return false;
  }
  if (!quiet) list(name, cat(type, ", but for its tensors"));
  return true;
}

void TensorCollector::count_visit(const Path& path) {
  if (++visited_ > limits_.objects)
    source_.exceeded("objects", "values named by the pickle", limits_.objects, visited_);
  if (visited_ > kMostPaths * (pickle_.size() + 100))
    source_.reject("the pickle has ", pickle_.size(), " values, and more than ", visited_ - 1,
                   " paths lead to them (near ", quote(path.value_or("")), ")");
}

bool TensorCollector::has_name(const Bearing& bearing, const PickleEdge& edge) const {
  return edge.name != Name::key || kind_of(edge.label) == PickleKind::text || bearing.key_name(edge.label);
}

/// The path of a value that leads to tensors.
TensorCollector::Path TensorCollector::child(const Bearing& bearing, const Path& path, const PickleEdge& edge) const {
  if (edge.name == Name::none) return path;
  std::string name = cat(edge.label);
  if (edge.name == Name::key) {
    const auto key = bearing.key_name(edge.label);
    if (!key)
      source_.reject("a key ", path ? "below " + quote(*path) : "at the top",
                     " must be a text, a number or a tuple of them; it is ", pickle_.describe(edge.label));
    if (const PickleValue& text = pickle_.value(edge.label);
        strict_ && text.kind == PickleKind::text && text.text.find('\0') != text.text.npos)
      source_.reject("key ", quote(text.text), " contains NUL");
    name = *key;
  }
  const std::size_t length = name.size() + 1 + (path ? path->size() : 0);
  if (length > limits_.name_bytes) source_.exceeded("name_bytes", "bytes of a name", limits_.name_bytes, length);
  return path ? cat(*path, ".", name) : name;
}

void TensorCollector::add(PickleRef ref, const std::string& path) {
  const PickleValue& value = pickle_.value(ref);
  if (value.kind == PickleKind::unsupported) {
    if (strict_)
      throw NotSupported(
          cat(source_.prefix(), "tensor ", quote(path), " is of a kind that this library does not have: ", value.text));
    return leave_out(path, pickle_.describe(ref));
  }
  if (out_.size() == limits_.tensors)
    source_.exceeded("tensors", "tensors in the file", limits_.tensors, out_.size() + 1);
  if (out_.contains(path)) {
    // An attribute may be named as a parameter is, and a key as another with NUL is written.
    const bool written = !strict_ && path.find("\\x") != path.npos;
    if (open_objects_ == 0 && !written) source_.reject("two tensors have the path ", quote(path));
    return leave_out(path, "another tensor of this name");
  }
  charge_name(path);
  const Tensor made = maker_.tensor(value.index, path);
  budget_.show(made.nbytes(), quote(path));
  out_.add(path, made);
}

void TensorCollector::list_value(const Bearing& bearing, const PickleEdge& edge, const Path& path,
                                 const std::string& what) {
  if (listed_ == kMostLinesInAll) {  // before names are made of it
    ++unlisted_;
    return;
  }
  const std::string shown = bearing.shown(edge);
  list(path ? cat(*path, ".", shown) : shown, what);
}

/// Names what is no tensor, unless there is much of it.
void TensorCollector::list(const std::string& path, const std::string& what) {
  if (listed_ == kMostLinesInAll)
    ++unlisted_;
  else
    ++listed_, leave_out(path, what);
}

void TensorCollector::leave_out(const std::string& path, const std::string& what) {
  std::string line = what.empty() ? path : cat(path, ": ", what);
  charge_name(line);
  out_.skipped().push_back(std::move(line));
}

/// A long key above many short ones stands in all of their names.
void TensorCollector::charge_name(const std::string& path) {
  name_bytes_ += path.size();
  if (name_bytes_ > limits_.header_bytes)
    source_.exceeded("header_bytes", "bytes of all names", limits_.header_bytes, name_bytes_);
}

}  // namespace coppice
