#pragma once
// Results on stdout, when the command is done; notes on stderr.

#include <nlohmann/json.hpp>
#include <string>

namespace coppice::cli {

struct App;
using Json = nlohmann::ordered_json;

/// Adds a line to the results; they reach stdout when the command is done.
void print(const std::string& line);
/// The results as one document; the schema's name stands first.
void print(const std::string& schema, Json document);
/// Sends the results. @throws IoError  if stdout is closed or full
void flush_results();
/// A line on stderr, unless --quiet.
void note(const App& app, const std::string& line);

}  // namespace coppice::cli
