#include "io/strict_json.h"

#include <set>
#include <vector>

#include "coppice/engine/error.h"

namespace coppice::nn {

// No object of ours comes near; the ordered objects of the JSON library find a key by a walk over all of them.
constexpr std::size_t kMostKeys = 1000;

nlohmann::ordered_json parse_strict(std::string_view text, const std::string& source, std::size_t depth) {
  using json = nlohmann::ordered_json;
  std::vector<std::set<std::string>> keys;  // of the open objects
  const auto watch = [&](int level, json::parse_event_t event, json& value) {
    if (static_cast<std::size_t>(level) > depth)
      throw LimitError(cat("[json] ", source, ": nested deeper than ", depth, " levels"));
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && keys.back().size() == kMostKeys)
      throw LimitError(cat("[json] ", source, ": an object has more than ", kMostKeys, " keys"));
    if (event == json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      throw FormatError(cat("[json] ", source, ": key '", value.get<std::string>(), "' appears twice in an object"));
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::exception& e) {
    throw FormatError(cat("[json] ", source, ": ", e.what()));
  }
}

}  // namespace coppice::nn
