#include "coppice/engine/named_function.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"

namespace coppice {
namespace {

struct Entry {
  std::type_index signature;
  std::shared_ptr<const void> function;
};

struct Registry {
  std::shared_mutex mutex;
  std::map<std::string, Entry, std::less<>> table;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

bool well_formed(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return name.find('.') != std::string_view::npos && name.front() != '.' && name.back() != '.' &&
         name.find("..") == std::string_view::npos &&
         std::ranges::all_of(name, [&](char c) { return c == '.' || letter(c); });
}

}  // namespace

namespace detail {

void add_function(std::string_view name, std::type_index signature, std::shared_ptr<const void> function) {
  if (!well_formed(name))
    throw ValueError(
        cat("[register_function] a name must be of a-z, 0-9 and _ in two parts or more, with dots between "
            "them; got ",
            quote(name)));
  if (function == nullptr) throw ValueError(cat("[register_function] ", quote(name), " has no function"));
  Registry& r = registry();
  const std::unique_lock lock(r.mutex);
  if (!r.table.emplace(name, Entry{signature, std::move(function)}).second)
    throw KeyError(cat("[register_function] ", quote(name), " is registered already"));
}

std::shared_ptr<const void> find_function(std::string_view name, std::type_index signature) {
  {
    Registry& r = registry();
    const std::shared_lock lock(r.mutex);
    if (const auto found = r.table.find(name); found != r.table.end()) {
      if (found->second.signature == signature) return found->second.function;
      throw TypeError(cat("[registered_function] ", quote(name), " takes or gives other types than are asked for"));
    }
  }
  std::string known;
  for (const std::string& other : function_names()) known += (known.empty() ? "" : ", ") + other;
  throw KeyError(cat("[registered_function] unknown function ", quote(name),
                     "; known: ", known.empty() ? std::string("none") : known));
}

}  // namespace detail

bool is_function(std::string_view name) {
  Registry& r = registry();
  const std::shared_lock lock(r.mutex);
  return r.table.contains(name);
}

std::vector<std::string> function_names() {
  Registry& r = registry();
  const std::shared_lock lock(r.mutex);
  std::vector<std::string> out;
  for (const auto& [name, entry] : r.table) out.push_back(name);
  return out;
}

}  // namespace coppice
